import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { askAgainMs, decideRollout, maxAsked, silentAfterMs, type AskFacts } from './builds.policy.ts';

const nowMs = Date.parse('2026-11-22T10:00:00Z');
const rollout = { version: '0.2.0', soakMs: 600_000, expiresAtMs: nowMs + 86_400_000 };

function ask(id: string, bend: Partial<AskFacts> = {}): AskFacts {
  return {
    ...{ id, hostname: `srv-${id}`, ring: 2, state: 'waiting', code: null, detail: '' },
    ...{ askedAtMs: null, endedAtMs: null, isConnected: true, runningVersion: '0.1.0', isClaimed: false },
    ...bend,
  };
}

const updated = (id: string, bend: Partial<AskFacts> = {}) =>
  ask(id, {
    ...{ ring: 1, state: 'updated', runningVersion: '0.2.0', endedAtMs: nowMs - 600_000 },
    ...bend,
  });
const decide = (asks: AskFacts[], atMs = nowMs) => decideRollout(rollout, asks, atMs);

describe('a rollout of an agent', () => {
  it('asks the first hosts only, until all of them have been well for long enough', () => {
    const later = [ask('b'), ask('c')];
    expect(decide([ask('a', { ring: 1 }), ...later])).toEqual({ kind: 'ask', askIds: ['a'] });
    const unwell: Partial<AskFacts>[] = [
      { endedAtMs: nowMs - 599_999 },
      { isConnected: false },
      { runningVersion: '0.1.0' },
    ];
    for (const bend of unwell)
      expect(decide([updated('a', bend), ...later])).toEqual({ kind: 'ask', askIds: [] });
    expect(decide([updated('a'), ...later])).toEqual({ kind: 'ask', askIds: ['b', 'c'] });
    expect(decide([updated('a'), updated('z', { endedAtMs: nowMs }), ...later])).toMatchObject({
      askIds: [],
    });
  });

  it('ends at the first host that went back, refused or fell silent, with its name and why', () => {
    const bad = { code: 'not_proven', detail: 'started 3 times', endedAtMs: nowMs };
    expect(decide([updated('a'), ask('b', { ...bad, state: 'reverted' }), ask('c')])).toEqual({
      ...{ kind: 'end', state: 'halted', why: 'srv-b: reverted, not_proven started 3 times' },
    });
    expect(decide([ask('a', { state: 'refused', code: 'locked' }), ask('c')])).toMatchObject({
      state: 'halted',
    });
    const silent = { state: 'asked', isConnected: false, askedAtMs: nowMs - silentAfterMs - 1 } as const;
    expect(decide([ask('a', silent), ask('c')])).toMatchObject({ state: 'halted', why: /silent/ });
    expect(decide([ask('a', { ...silent, askedAtMs: nowMs - silentAfterMs }), ask('c')])).toMatchObject({
      kind: 'ask',
    });
  });

  it('takes no offence at a host that is as new already', () => {
    const newer = ask('a', { ring: 1, state: 'refused', code: 'not_newer', endedAtMs: nowMs });
    expect(decide([newer, ask('b')])).toEqual({ kind: 'ask', askIds: ['b'] });
    expect(decide([newer])).toEqual({ kind: 'end', state: 'done', why: null });
  });

  it('asks nobody who is away or in a run, and asks a busy one again after a minute', () => {
    const first = { ring: 1 } as const;
    const asks = [
      ask('away', { ...first, isConnected: false }),
      ask('busy', { ...first, isClaimed: true }),
      ask('recent', { ...first, askedAtMs: nowMs - askAgainMs + 1 }),
      ask('again', { ...first, askedAtMs: nowMs - askAgainMs }),
      ask('lost', { ...first, state: 'asked', askedAtMs: nowMs - askAgainMs }),
    ];
    expect(decide(asks)).toEqual({ kind: 'ask', askIds: ['lost', 'again'] });
  });

  it('ends when the document has expired, and when nobody is left to ask', () => {
    expect(decide([ask('a')], rollout.expiresAtMs + 1)).toMatchObject({ state: 'halted', why: /expired/ });
    expect(decide([updated('a')], rollout.expiresAtMs + 1)).toMatchObject({ state: 'done' });
  });

  it('never has more hosts on their way than it may, whatever has become of them', () => {
    const any = fc.record({
      ring: fc.constantFrom(1, 2),
      state: fc.constantFrom('waiting', 'asked', 'updated', 'refused', 'reverted'),
      code: fc.constantFrom(null, 'not_newer', 'busy'),
      askedAtMs: fc.constantFrom(null, nowMs, nowMs - askAgainMs),
      endedAtMs: fc.constantFrom(null, nowMs, nowMs - 600_000),
      isConnected: fc.boolean(),
      isClaimed: fc.boolean(),
      runningVersion: fc.constantFrom('0.1.0', '0.2.0'),
    });
    fc.assert(
      fc.property(fc.array(any, { maxLength: 40 }), (bends) => {
        const asks = bends.map((bend, index) => ask(String(index), bend));
        const step = decide(asks);
        if (step.kind === 'end') return;
        const chosen = asks.filter(({ id }) => step.askIds.includes(id));
        const asked = asks.filter(({ state }) => state === 'asked').length;
        const fresh = chosen.filter(({ state }) => state === 'waiting').length;
        expect(asked + fresh).toBeLessThanOrEqual(Math.max(maxAsked, asked));
        expect(chosen.every(({ isConnected, isClaimed }) => isConnected && !isClaimed)).toBe(true);
        const isFirstWell = asks.every(
          (one) =>
            one.ring === 2 || one.code === 'not_newer' || one.state === 'updated' || one.state === 'dropped',
        );
        if (!isFirstWell) expect(chosen.every(({ ring }) => ring === 1)).toBe(true);
      }),
    );
  });
});
