import { describe, expect, it } from 'vitest';
import type { Command, ServerFrame } from '#contract/agent-link.ts';
import type { ReleaseBundle } from '#contract/trust.ts';
import { createLogger } from '../../platform/log.ts';
import { newId } from '../../platform/ids.ts';
import { Dispatch } from './commands.dispatch.ts';
import type { OrderRow } from './commands.repository.ts';

const order = {
  ...{
    id: newId(),
    agentId: newId(),
    hostId: newId(),
    releaseId: newId(),
    runId: newId(),
    hostRunId: newId(),
  },
  ...{ verb: 'host.preflight', step: 'preflight', attempt: 1, fence: 1, createdAt: new Date() },
} as OrderRow;

const bundleOf = (size: number) =>
  ({ audit: { checkpoint: `log\n${size}\nroot=\n\n— log signature\n` } }) as unknown as ReleaseBundle;

/** Makes proofs to a log of these sizes, one after the other; the last one stays. */
function newDispatch(sizes: number[], meanwhile: (dispatch: Dispatch) => void = () => undefined) {
  const sent: ServerFrame[] = [];
  let made = 0;
  const dispatch: Dispatch = new Dispatch({
    log: createLogger({ level: 'silent', role: 'test' }),
    link: {
      isConnected: () => true,
      send: (_agentId, frame) => {
        sent.push(frame);
        return 'sent';
      },
    },
    bundleFor: () => {
      made += 1;
      meanwhile(dispatch);
      return Promise.resolve(bundleOf(sizes.length > 1 ? (sizes.shift() ?? 0) : (sizes[0] ?? 0)));
    },
  });
  const proved = () =>
    sent.flatMap((frame) => (frame.type === 'release' ? frame.bundle.audit.checkpoint : []));
  const readings = () =>
    sent.flatMap((frame) =>
      frame.type === 'commands' ? frame.commands.map(({ commandId }) => commandId) : [],
    );
  return { dispatch, proved, readings, made: () => made };
}

const reading = (commandId: string) => ({ commandId, verb: 'inventory.scan' }) as Command;

describe('readings of an agent', () => {
  const { agentId } = order;

  it('are handed over once on one connection, however often they are looked up', () => {
    const { dispatch, readings } = newDispatch([1]);
    dispatch.connected(agentId);
    dispatch.sendReadings([{ id: 'a', agentId, verb: 'inventory.scan' }]);
    dispatch.sendMissing(agentId, [reading('a'), reading('b')]);
    dispatch.sendMissing(agentId, [reading('a'), reading('b')]);
    expect(readings()).toEqual(['a', 'b']);
  });

  it('are handed over again on the next connection, what came meanwhile only once', () => {
    const { dispatch, readings } = newDispatch([1]);
    dispatch.connected(agentId);
    dispatch.sendMissing(agentId, [reading('a')]);
    const handOver = dispatch.connected(agentId);
    dispatch.sendReadings([{ id: 'b', agentId, verb: 'inventory.scan' }]);
    expect(handOver([reading('a'), reading('b')])).toEqual([{ type: 'commands', commands: [reading('a')] }]);
    dispatch.sendMissing(agentId, [reading('a'), reading('b')]);
    expect(readings()).toEqual(['a', 'b']);
  });

  it('go in frames that the contract takes', () => {
    const { dispatch } = newDispatch([1]);
    const many = Array.from({ length: 1_001 }, (_, index) => reading(String(index)));
    const sizes = dispatch
      .connected(agentId)(many)
      .map((frame) => (frame.type === 'commands' ? frame.commands.length : 0));
    expect(sizes).toEqual([500, 500, 1]);
  });
});

describe('a release on its way to an agent', () => {
  it('is proved anew when the agent was shown a newer log while the proof was made', async () => {
    const { dispatch, proved } = newDispatch([3, 5], (one) => one.shown(order.agentId, 5));
    expect(await dispatch.sendOrder('tenant', order)).toBe(true);
    expect(proved()).toEqual([bundleOf(5).audit.checkpoint]);
  });

  it('is proved once when nothing newer was shown, or only to others, or on a former connection', async () => {
    const { dispatch, proved, made } = newDispatch([3]);
    dispatch.shown(newId(), 9);
    dispatch.shown(order.agentId, 9);
    dispatch.disconnected(order.agentId);
    dispatch.connected(order.agentId);
    dispatch.shown(order.agentId, 3);
    await dispatch.sendOrder('tenant', order);
    expect([proved().length, made()]).toEqual([1, 1]);
  });

  it('is not proved for ever: an agent that was shown more than there is gets what there is', async () => {
    const { dispatch, proved, made } = newDispatch([3]);
    dispatch.shown(order.agentId, 1_000_000);
    await dispatch.sendOrder('tenant', order);
    expect(proved().length).toBe(1);
    expect(made()).toBeLessThan(10);
  });
});
