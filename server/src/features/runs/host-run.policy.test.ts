import { describe, expect, it } from 'vitest';
import { drive, minute, t0, undrained } from '../../../../test/harness/host-run-drive.ts';
import type { Terms } from './host-run.model.ts';
import { decide } from './host-run.policy.ts';

describe('the good way through a host run', () => {
  it('goes from preflight to commit, restart included when the host asks for it', () => {
    const host = drive();
    host.upTo('rollback');
    expect(host.run.state).toBe('committed');
    expect(host.sent()).toEqual(['preflight', 'guard', 'download', 'install', 'restart', 'verify', 'commit']);
    expect(host.run.outcomes).toEqual({
      patch: 'installed',
      restart: 'proven',
      verification: 'green',
      guard: 'kept',
    });
    expect(host.run.endedAtMs).toBe(host.now);
  });

  it('skips the restart when the host says that none is needed, and says so', () => {
    const host = drive();
    host.upTo('install');
    host.answer('install', { facts: { restartRequired: false } });
    expect(host.run.state).toBe('verifying');
    expect(host.run.outcomes.restart).toBe('not_needed');
    expect(host.decisions()).toContain('restart_not_needed');
  });

  it('leaves a needed restart pending when the policy forbids it', () => {
    const host = drive({ restart: 'never', steps: undrained.filter((step) => step !== 'restart') });
    host.upTo('install');
    host.answer('install', { facts: { restartRequired: true } });
    expect(host.run.state).toBe('verifying');
    expect(host.run.outcomes.restart).toBe('pending');
  });
});

describe('a host whose health check is red', () => {
  it('is put back, and the time it took is measured from the sight of the failure', () => {
    const host = drive();
    host.upTo('verify');
    host.answer('verify', {
      outcome: 'failed',
      code: 'check_failed',
      facts: { checks: [{ check: 'nginx.service', ok: false, detail: 'failed', tookMs: 5 }] },
    });
    expect(host.run.state).toBe('rolling_back');
    host.wait(20_000);
    host.answer('rollback', {
      facts: {
        rollbackBy: 'order',
        phasesMs: { detected: 0, decided: 100, switched: 900, rebooted: 6000, green: 20000 },
      },
    });
    expect(host.run.state).toBe('rolled_back');
    expect(host.run.rollbackSeconds).toBe(21);
    expect(host.run.outcomes).toMatchObject({ patch: 'reverted', guard: 'used', verification: 'red' });
  });

  it('ends as failed with the truth where no checkpoint exists', () => {
    const host = drive({ rollbackTier: 0, steps: undrained.filter((step) => step !== 'rollback') });
    host.upTo('verify');
    host.answer('verify', { outcome: 'failed', code: 'check_failed' });
    expect(host.run.state).toBe('failed');
    expect(host.run.outcomes).toMatchObject({ patch: 'installed', verification: 'red', guard: 'none' });
  });

  it('is never committed, even when the command itself succeeded', () => {
    const host = drive();
    host.upTo('verify');
    host.answer('verify', { facts: { checks: [{ check: 'tcp 80', ok: false, detail: '', tookMs: 1 }] } });
    expect(host.sent()).not.toContain('commit');
  });
});

describe('a failure before the change', () => {
  it.each(['preflight', 'guard', 'download'] as const)(
    'of %s ends as failed with nothing changed',
    (step) => {
      const host = drive();
      host.upTo(step);
      host.answer(step, { outcome: 'failed', code: 'no_space' });
      expect(host.run.state).toBe('failed');
      expect(host.run.outcomes.patch).toBe('not_started');
      expect(host.sent()).not.toContain('install');
    },
  );

  it('tries again after a pause when the network was at fault, three times at most', () => {
    const host = drive();
    host.upTo('download');
    for (const delayMs of [5_000, 30_000, 120_000]) {
      host.answer('download', { outcome: 'failed', code: 'network' });
      expect(host.run.state).toBe('downloading');
      host.wait(delayMs);
    }
    host.answer('download', { outcome: 'failed', code: 'network' });
    expect(host.run.state).toBe('failed');
    expect(host.sent().filter((step) => step === 'download')).toHaveLength(4);
  });
});

describe('silence', () => {
  it('makes a host lost, and the result that comes late goes on from where it was', () => {
    const host = drive();
    host.upTo('install');
    host.wait(46_000);
    expect(host.run).toMatchObject({ state: 'agent_lost', lostIn: 'installing' });
    host.wait(10 * minute);
    host.answer('install', { facts: { restartRequired: false } });
    expect(host.run.state).toBe('verifying');
    expect(host.decisions()).toEqual(expect.arrayContaining(['agent_silent', 'agent_back']));
  });

  it('asks again for the same command when the agent is back', () => {
    const host = drive();
    host.upTo('guard');
    const before = host.sent().length;
    const { effects } = decide(host.run, { type: 'back', knowsOpen: false }, host.now);
    expect(effects).toEqual([{ type: 'redeliver', step: 'guard', attempt: 1 }]);
    expect(host.sent()).toHaveLength(before);
  });

  it('says once for each reason that it waits for its group, and how long it was when it may begin', () => {
    const host = drive();
    const wait = (other: string) =>
      host.tell({ type: 'held', hold: { code: 'waits_for_group', values: { group: 'g', host: other } } });
    wait('a');
    host.wait(5_000);
    wait('a');
    host.wait(5_000);
    wait('b');
    expect(host.run.state).toBe('planned');
    expect(host.decisions()).toEqual(['waits_for_group', 'waits_for_group']);
    host.tell({ type: 'start' });
    expect(host.decisions().at(-1)).toBe('wait_over');
    expect([host.run.state, host.run.held]).toEqual(['preflight', null]);
  });

  it('knows whether checks were green after a rollback, and takes no check for no proof', () => {
    const green = { checks: [{ check: 'tcp 80', ok: true, detail: '', tookMs: 1 }] };
    for (const [facts, proven] of [
      [green, true],
      [{}, false],
    ] as const) {
      const host = drive();
      host.upTo('verify');
      host.answer('verify', { outcome: 'failed', code: 'check_failed' });
      host.answer('rollback', { facts });
      expect([host.run.state, host.run.restoredGreen]).toEqual(['rolled_back', proven]);
    }
  });

  it('ends in the truth that the guardian put the host back', () => {
    const host = drive();
    host.upTo('commit');
    host.wait(46_000);
    host.tell({
      type: 'selfRollback',
      by: 'guardian',
      succeeded: true,
      fence: 1,
      phasesMs: { detected: 0, switched: 2000, green: 11000 },
      isGreen: true,
    });
    expect(host.run.state).toBe('rolled_back');
    expect(host.run.rollbackSeconds).toBe(11);
    expect(host.decisions()).toContain('silence_reverted');
  });

  it('is unknown, not well, when the agent never comes back', () => {
    const host = drive();
    host.upTo('install');
    host.wait(46_000);
    host.wait(61 * minute);
    expect(host.run.state).toBe('failed');
    expect(host.run.outcomes.patch).toBe('unknown');
  });

  it('does not take a restart for a loss', () => {
    const host = drive();
    host.upTo('restart');
    host.wait(120_000);
    expect(host.run.state).toBe('restarting');
  });
});

describe('late truth', () => {
  it('beats a rollback that we had given up', () => {
    const host = drive();
    host.upTo('verify');
    host.answer('verify', { outcome: 'failed', code: 'check_failed' });
    host.tell({ type: 'delivered', step: 'rollback', attempt: 1 });
    for (let passed = 0; passed < 12; passed += 1) {
      host.tell({ type: 'heard' });
      host.wait(minute);
    }
    expect(host.run.state).toBe('rollback_failed');
    host.answer('rollback', { attempt: 1, facts: { rollbackBy: 'order' } });
    expect(host.run.state).toBe('rolled_back');
    expect(host.decisions()).toContain('late_truth');
  });

  it('corrects what is known about a host that had been given up', () => {
    const host = drive();
    host.upTo('install');
    host.wait(46_000);
    host.wait(61 * minute);
    host.answer('install', { attempt: 1 });
    expect(host.run.state).toBe('failed');
    expect(host.run.outcomes.patch).toBe('installed');
  });

  it('says a thing once however often it arrives', () => {
    const host = drive();
    host.upTo('download');
    const before = host.run;
    host.answer('guard', { attempt: 1 });
    expect({ ...host.run, lastHeardAtMs: 0 }).toEqual({ ...before, lastHeardAtMs: 0 });
  });
});

describe('people and windows', () => {
  it('stop a host between two steps before the change', () => {
    const host = drive();
    host.upTo('guard');
    host.tell({ type: 'cancel' });
    expect(host.run.state).toBe('guarding');
    host.answer('guard');
    expect(host.run.state).toBe('cancelled');
    expect(host.run.outcomes.guard).toBe('kept');
  });

  it('do not stop a host in the middle of a change', () => {
    const host = drive();
    host.upTo('install');
    host.tell({ type: 'cancel' });
    host.answer('install', { facts: { restartRequired: false } });
    expect(host.run.state).toBe('verifying');
  });

  it('start nothing that leads to a change in the reserve at the end of the window', () => {
    const host = drive({ notAfterMs: t0 + 11 * minute });
    host.upTo('download');
    host.tell({ type: 'heard' });
    host.wait(30_000);
    host.wait(30_000);
    host.answer('download');
    expect(host.run.state).toBe('missed');
  });

  it('let a lock hold the checks without undoing the host, until the total clock ends it', () => {
    const host = drive();
    host.upTo('verify');
    host.answer('verify', { outcome: 'refused', code: 'locked' });
    expect(host.run.state).toBe('verifying');
    host.wait(5_000);
    host.answer('verify');
    host.answer('commit');
    expect(host.run.state).toBe('committed');
  });
});

describe('the end of a window that has its own figures', () => {
  /** Installs until `minutes` after the start; the window ends after 60, its reserve is 20. */
  const installUntil = (minutes: number, change: Partial<Terms> = {}) => {
    const figures = { notAfterMs: t0 + 60 * minute, reserveMs: 20 * minute, strictEnd: true };
    const host = drive({ ...figures, ...change });
    host.upTo('install');
    for (let passed = 0; passed < minutes; passed += 0.5) {
      host.tell({ type: 'progress', step: 'install', attempt: 1 });
      host.wait(30_000);
    }
    host.answer('install', { facts: { restartRequired: true } });
    return host;
  };

  it('restarts before the reserve', () => {
    expect(installUntil(30).run.state).toBe('restarting');
  });

  it('restarts nothing in the reserve: the restart is left to do, and that is said', () => {
    const host = installUntil(45);
    expect(host.run.state).toBe('verifying');
    expect(host.sent()).not.toContain('restart');
    expect(host.run.outcomes.restart).toBe('pending');
    expect(host.decisions()).toContain('restart_deferred');
    host.answer('verify');
    host.answer('commit');
    expect(host.run.state).toBe('committed');
  });

  it('puts back an installation that was not done at the hard stop', () => {
    const host = installUntil(61);
    expect(host.run.state).toBe('rolling_back');
    expect(host.decisions()).toContain('hard_stop');
  });

  it('keeps a late installation that has no checkpoint to go back to', () => {
    const steps = undrained.filter((step) => step !== 'rollback');
    const host = installUntil(61, { steps, rollbackTier: 0 });
    expect(host.run.state).toBe('verifying');
    expect(host.decisions()).toContain('restart_deferred');
  });
});
