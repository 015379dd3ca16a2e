import { describe, expect, it } from 'vitest';
import { missedTerms, postponableUntilMs } from './followups.policy.ts';

describe('a released run', () => {
  const notBefore = new Date('2026-11-28T19:00:00.000Z');
  const run = { state: 'scheduled', notBefore, windowId: 'w' };

  it('may be postponed until three days before it begins', () => {
    expect(postponableUntilMs(run)).toBe(Date.parse('2026-11-25T19:00:00.000Z'));
  });

  it('that has begun, or came from no window, may not be postponed', () => {
    expect(postponableUntilMs({ ...run, state: 'running' })).toBeNull();
    expect(postponableUntilMs({ ...run, windowId: null })).toBeNull();
  });
});

describe('a missed run', () => {
  it('follows its window, and asks a person when the window says nothing or is gone', () => {
    expect(missedTerms({ missedRun: 'next_occurrence' })).toEqual({
      policy: 'next_occurrence',
      state: 'pending',
    });
    expect(missedTerms({ missedRun: 'skip' }).state).toBe('skipped');
    expect(missedTerms({}).state).toBe('asks');
    expect(missedTerms(null)).toEqual({ policy: 'ask', state: 'asks' });
  });
});
