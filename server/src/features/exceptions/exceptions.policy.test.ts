import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exceptionStates, type ExceptionAction } from '#contract/exceptions.ts';
import { expiresSoon, judgeRequest, refusalOf, stateOf } from './exceptions.policy.ts';

const dayMs = 86_400_000;
const nowMs = Date.parse('2026-11-21T20:00:00.000Z');
const ahead = (ms: number) => new Date(nowMs + ms).toISOString();
const everywhere = { kind: 'tenant', id: null } as const;

const anyTerms = fc.record({
  decision: fc.constantFrom(null, 'approved' as const, 'refused' as const, 'revoked' as const),
  expiresAtMs: fc.integer({ min: nowMs - 400 * dayMs, max: nowMs + 400 * dayMs }),
});
const anyInstant = fc.integer({ min: nowMs - 500 * dayMs, max: nowMs + 500 * dayMs });

describe('the state of an exception', () => {
  it('is approved up to the last millisecond before its end and not one later', () => {
    const terms = { decision: 'approved' as const, expiresAtMs: nowMs };
    expect(stateOf(terms, nowMs - 1)).toBe('approved');
    expect(stateOf(terms, nowMs)).toBe('expired');
  });

  it('never comes back to life: what is over stays over at every later instant', () => {
    fc.assert(
      fc.property(anyTerms, anyInstant, fc.nat(900 * dayMs), (terms, atMs, laterMs) => {
        const state = stateOf(terms, atMs);
        if (['expired', 'refused', 'revoked'].includes(state))
          expect(stateOf(terms, atMs + laterMs)).toBe(state);
        if (state === 'approved') expect(atMs).toBeLessThan(terms.expiresAtMs);
      }),
    );
  });

  it('has no effect that nobody approved', () => {
    fc.assert(
      fc.property(anyTerms, anyInstant, (terms, atMs) => {
        if (terms.decision !== 'approved') expect(stateOf(terms, atMs)).not.toBe('approved');
      }),
    );
  });

  it('is told two weeks ahead, while the exception still holds', () => {
    const ends = (ms: number) => ({ decision: 'approved' as const, expiresAtMs: nowMs + ms });
    expect(expiresSoon(ends(14 * dayMs), nowMs)).toBe(true);
    expect(expiresSoon(ends(14 * dayMs + 1), nowMs)).toBe(false);
    expect(expiresSoon(ends(0), nowMs)).toBe(false);
    expect(expiresSoon({ ...ends(dayMs), decision: null }, nowMs)).toBe(false);
  });
});

describe('a request', () => {
  it('ends in the future, a year ahead at most', () => {
    const judge = (ms: number) =>
      judgeRequest({ expiresAt: ahead(ms), place: everywhere }, nowMs).map(({ rule }) => rule);
    expect(judge(0)).toEqual(['in_the_future']);
    expect(judge(1)).toEqual([]);
    expect(judge(365 * dayMs)).toEqual([]);
    expect(judge(365 * dayMs + 1)).toEqual(['at_most']);
  });

  it('names a place of its kind, and none for everywhere', () => {
    const id = '01900000-0000-7000-8000-000000000001';
    const judge = (place: Parameters<typeof judgeRequest>[0]['place']) =>
      judgeRequest({ expiresAt: ahead(dayMs), place }, nowMs).map(({ path }) => path);
    expect(judge({ kind: 'group', id: null })).toEqual(['/body/place/id']);
    expect(judge({ kind: 'tenant', id })).toEqual(['/body/place/id']);
    expect(judge({ kind: 'group', id })).toEqual([]);
  });
});

describe('a decision', () => {
  const anyAsked = fc.record({
    state: fc.constantFrom(...exceptionStates),
    requestedBy: fc.constantFrom('olga', 'alice'),
    actorId: fc.constantFrom('olga', 'alice'),
  });

  it('is never an approval by who asked, and never made after the end', () => {
    const anyAction = fc.constantFrom<ExceptionAction>('approve', 'refuse', 'revoke');
    fc.assert(
      fc.property(anyAction, anyAsked, (action, asked) => {
        const refusal = refusalOf(action, asked);
        if (['expired', 'refused', 'revoked'].includes(asked.state)) expect(refusal).toBe('state');
        if (action === 'approve' && asked.requestedBy === asked.actorId) expect(refusal).not.toBeNull();
      }),
    );
  });

  it('may be to take back what one asked for oneself', () => {
    const own = { requestedBy: 'olga', actorId: 'olga' };
    expect(refusalOf('revoke', { state: 'requested', ...own })).toBeNull();
    expect(refusalOf('revoke', { state: 'approved', ...own })).toBeNull();
    expect(refusalOf('refuse', { state: 'approved', ...own })).toBe('state');
    expect(refusalOf('approve', { state: 'requested', ...own })).toBe('four_eyes');
    expect(refusalOf('approve', { state: 'requested', requestedBy: 'olga', actorId: 'alice' })).toBeNull();
  });
});
