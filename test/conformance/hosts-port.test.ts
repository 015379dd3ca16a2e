import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ServerFrame } from '#contract/agent-link.ts';
import type { DisconnectReason, HostsHandlers, LaterFrame } from '../../server/src/hosts/port.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { agentEnd, visitedEnd, type FarEnd } from '../harness/far-ends.ts';

const ways: readonly [string, () => Promise<FarEnd>][] = [
  ['a connection that an agent holds', agentEnd],
  ['visits over SSH', visitedEnd],
];
const patience = { timeout: 20_000, interval: 20 };
const at = '2026-11-21T20:00:00.000Z';
const alarm = (n: number): LaterFrame => ({ type: 'alarm', code: `n${n}`, detail: '{{ 7 * 7 }} $(id)', at });
const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

describe.each(ways)('hosts reached by %s', (_name, create) => {
  let end: FarEnd;
  let said: LaterFrame[];
  let gone: DisconnectReason[];
  let greeted: number;
  let atOnce: number;
  let mostAtOnce: number;
  let first: ServerFrame[];
  let refuse: (frame: LaterFrame) => boolean;

  beforeEach(async () => {
    end = await create();
    [said, gone, greeted, atOnce, mostAtOnce] = [[], [], 0, 0, 0];
    first = [{ type: 'welcome', serverTime: at, heartbeatS: 10, resultsHeld: 0 }];
    refuse = () => false;
    const handlers: HostsHandlers = {
      authenticate: () => Promise.resolve(end.identity),
      connected: () => {
        greeted += 1;
        return Promise.resolve(first);
      },
      disconnected: (_identity, reason) => {
        gone.push(reason);
        return Promise.resolve();
      },
      cloned: () => Promise.resolve(),
      frame: async (identity, frame) => {
        expect(identity).toMatchObject({ agentId: end.identity.agentId });
        atOnce += 1;
        mostAtOnce = Math.max(mostAtOnce, atOnce);
        await new Promise((resolve) => setTimeout(resolve, 5));
        atOnce -= 1;
        if (refuse(frame)) throw new Error('the database is away');
        if (frame.type !== 'heartbeat') said.push(frame);
      },
    };
    await end.port.start(handlers);
  }, 60_000);

  afterEach(() => end.stop());

  const stranger = newId();
  const comeIn = async (): Promise<void> => {
    await end.comeIn();
    await vi.waitFor(() => expect(end.heard.length).toBeGreaterThan(0), patience);
  };
  const heardNumbers = () => end.heard.flatMap((frame) => (frame.type === 'resultsHeld' ? [frame.upTo] : []));

  it('are greeted once, and hear the greeting before everything else', async () => {
    await comeIn();
    expect(end.port.send(end.identity.agentId, { type: 'resultsHeld', upTo: 1 })).toBe('sent');
    await vi.waitFor(() => expect(heardNumbers()).toEqual([1]), patience);
    expect(end.heard[0]).toMatchObject({ type: 'welcome' });
    expect(greeted).toBe(1);
    expect([...end.port.connectedAgents()]).toMatchObject([{ agentId: end.identity.agentId }]);
    expect(end.port.isConnected(end.identity.agentId)).toBe(true);
  });

  it('get every frame in order, none twice', async () => {
    await comeIn();
    for (const upTo of numbers(1, 60)) end.port.send(end.identity.agentId, { type: 'resultsHeld', upTo });
    await vi.waitFor(() => expect(heardNumbers()).toHaveLength(60), patience);
    expect(heardNumbers()).toEqual(numbers(1, 60));
  });

  it('are listened to in order, one frame at a time, whatever the words look like', async () => {
    await comeIn();
    for (const n of numbers(1, 20)) end.say(alarm(n));
    await vi.waitFor(() => expect(said).toHaveLength(20), patience);
    expect(said).toEqual(numbers(1, 20).map(alarm));
    expect(mostAtOnce).toBe(1);
  });

  it('are not there before they come, nor when nobody knows them, and nothing is kept for them', async () => {
    const { agentId } = end.identity;
    expect(end.port.isConnected(agentId)).toBe(false);
    expect(end.port.send(agentId, { type: 'resultsHeld', upTo: 9 })).toBe('not_connected');
    expect(end.port.send(stranger, { type: 'resultsHeld', upTo: 9 })).toBe('not_connected');
    await comeIn();
    end.port.send(agentId, { type: 'resultsHeld', upTo: 10 });
    await vi.waitFor(() => expect(heardNumbers()).toEqual([10]), patience);
  });

  it('are said to be gone when they are, and greeted anew when they come back', async () => {
    await comeIn();
    await end.goAway();
    await vi.waitFor(() => expect(gone).toHaveLength(1), patience);
    expect(end.port.isConnected(end.identity.agentId)).toBe(false);
    await end.comeIn();
    await vi.waitFor(() => expect(greeted).toBe(2), patience);
  });

  it('begin anew after a frame that could not be taken: nothing of it is lost in silence', async () => {
    await comeIn();
    let refused = 0;
    refuse = (frame) => frame.type === 'alarm' && (refused += 1) === 1;
    end.say(alarm(1));
    await vi.waitFor(() => expect(gone.length).toBeGreaterThan(0), patience);
    await vi.waitFor(() => expect(greeted).toBeGreaterThan(1), patience);
  });

  it('are let go when they are refused', async () => {
    first = [{ type: 'refused', code: 'revoked', detail: 'not accepted any more' }];
    await end.comeIn();
    await vi.waitFor(() => expect(greeted).toBeGreaterThan(0), patience);
    await vi.waitFor(() => expect(end.port.isConnected(end.identity.agentId)).toBe(false), patience);
  });

  it('are cut off at once when the server says so', async () => {
    await comeIn();
    end.port.disconnect(end.identity.agentId, 'revoked');
    expect(end.port.send(end.identity.agentId, { type: 'resultsHeld', upTo: 1 })).toBe('not_connected');
    await vi.waitFor(() => expect(gone).toHaveLength(1), patience);
  });
});
