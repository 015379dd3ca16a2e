import { describe, expect, it } from 'vitest';
import { orderSteps } from '#contract/trust.ts';
import { drive, minute } from '../../../../test/harness/host-run-drive.ts';

describe('a host whose work is taken away before the change', () => {
  const drained = { steps: orderSteps };

  it('is drained once its updates are there, and back in service before its checks', () => {
    const host = drive(drained);
    host.upTo('rollback');
    expect(host.run.state).toBe('committed');
    expect(host.sent()).toEqual([
      ...['preflight', 'guard', 'download', 'drain', 'install', 'restart', 'undrain', 'verify', 'commit'],
    ]);
    expect(host.decisions()).not.toContain('undrain_failed');
  });

  it('comes back before its run ends, whoever stopped it', () => {
    for (const [event, end] of [
      [{ type: 'cancel' }, 'cancelled'],
      [{ type: 'lock' }, 'cancelled'],
      [{ type: 'windowOver' }, 'missed'],
    ] as const) {
      const host = drive(drained);
      host.upTo('drain');
      host.tell(event);
      host.answer('drain');
      expect(host.run.state).toBe('undraining');
      expect(host.sent()).not.toContain('install');
      host.answer('undrain');
      expect(host.run.state).toBe(end);
      expect(host.run.drain).toBeNull();
    }
  });

  it('comes back when it could not be drained, or nothing could be installed', () => {
    for (const step of ['drain', 'install'] as const) {
      const host = drive(drained);
      host.upTo(step);
      host.answer(step, { outcome: 'failed', code: step === 'drain' ? 'drain_failed' : 'no_space' });
      expect(host.run.state).toBe('undraining');
      host.answer('undrain');
      expect(host.run.state).toBe('failed');
      expect(host.decisions()).toContain('brought_back');
    }
  });

  it('comes back when there is no checkpoint to go back to', () => {
    const host = drive({ steps: orderSteps.filter((step) => step !== 'rollback'), rollbackTier: 0 });
    host.upTo('install');
    host.answer('install', { outcome: 'indeterminate', code: 'crashed' });
    expect(host.run.state).toBe('undraining');
    host.answer('undrain');
    expect(host.run.state).toBe('failed');
  });

  it('is put back when its work does not come back after the update', () => {
    const host = drive(drained);
    host.upTo('undrain');
    for (let tries = 1; tries <= 3; tries += 1) {
      host.answer('undrain', { outcome: 'failed', code: 'undrain_failed' });
      expect(host.run.state).toBe('undraining');
      host.wait(3 * minute);
    }
    host.answer('undrain', { outcome: 'failed', code: 'undrain_failed' });
    expect(host.run.state).toBe('rolling_back');
    host.answer('rollback', { facts: { drained: false } });
    expect(host.run.state).toBe('rolled_back');
    expect(host.decisions().at(-1)).toBe('rolled_back');
  });

  it('is called drained when the rollback brought the host back, and not its work', () => {
    const host = drive(drained);
    host.upTo('restart');
    host.answer('restart', { outcome: 'failed', code: 'restart_not_proven' });
    const checks = [{ check: 'c', ok: true, detail: '', tookMs: 1 }];
    host.answer('rollback', { facts: { drained: true, checks } });
    expect(host.run.state).toBe('rolled_back');
    expect(host.decisions().at(-1)).toBe('undrain_failed');
    expect(host.run.restoredGreen).toBe(false);
  });

  it('is told to be drained when nobody hears of it any more', () => {
    const host = drive(drained);
    host.upTo('drain');
    host.wait(minute);
    expect(host.run.state).toBe('agent_lost');
    host.tell({ type: 'cancel' });
    expect(host.run.state).toBe('agent_lost');
    host.wait(15 * minute);
    expect(host.run.state).toBe('failed');
    expect(host.decisions().at(-1)).toBe('undrain_failed');
  });

  it('waits under an emergency stop until it may be brought back', () => {
    const host = drive(drained);
    host.upTo('drain');
    host.tell({ type: 'lock' });
    host.answer('drain');
    for (let tries = 0; tries < 8; tries += 1) {
      host.answer('undrain', { outcome: 'refused', code: 'locked' });
      expect(host.run.state).toBe('undraining');
      host.wait(2 * minute);
    }
    host.tell({ type: 'unlock' });
    host.answer('undrain');
    expect(host.run.state).toBe('cancelled');
  });

  it('is not drained when it refused to be', () => {
    const host = drive(drained);
    host.upTo('drain');
    host.answer('drain', { outcome: 'refused', code: 'locked' });
    expect(host.run.state).toBe('cancelled');
    expect(host.sent()).not.toContain('undrain');
  });

  it('is still away when an answer speaks of a return that nobody ordered', () => {
    const host = drive(drained);
    host.upTo('drain');
    const { fence } = host.run;
    host.tell({
      ...{ type: 'result', step: 'undrain', attempt: 1, fence, outcome: 'succeeded', code: 'ok', facts: {} },
    });
    expect(host.run.drain).toBe('out');
    host.answer('drain');
    expect(host.run.drain).toBe('out');
  });
});
