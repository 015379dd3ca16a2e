import { describe, expect, it } from 'vitest';
import { personalEntries, ruleEntries } from './entries.policy.ts';
import type { PersonalWork } from './feeds.read-model.ts';
import { icsOf, sequenceOf, type Entry } from './ics.policy.ts';

const nowMs = Date.parse('2026-11-21T12:00:00Z');
const signing = { nowMs, classes: ['R2'] };
const words = { locale: 'en', pageOf: ({ planId }: PersonalWork) => `https://atlas/p/${planId}` } as const;

function work(bend: Partial<PersonalWork> = {}): PersonalWork {
  return {
    planId: 'p1',
    runId: null,
    releaseId: 'l1',
    number: null,
    title: 'Monthly',
    state: 'awaiting_signatures',
    class: 'R2',
    startsAt: new Date('2026-11-22T20:00:00Z'),
    endsAt: new Date('2026-11-23T04:00:00Z'),
    revisedAt: new Date('2026-11-20T08:00:00Z'),
    hosts: 3,
    isMine: false,
    isSigned: false,
    ...bend,
  };
}

const say = (bend: Partial<PersonalWork>, may = signing): string[] =>
  personalEntries([work(bend)], may, words).map(({ summary }) => summary);

function entry(bend: Partial<Entry> = {}): Entry {
  const [start, end] = [new Date('2026-11-22T20:00:00Z'), new Date('2026-11-22T22:00:00Z')];
  const rest = { status: 'confirmed', busy: false, revisedAt: new Date('2026-11-20T08:00:00Z') } as const;
  return { id: 'window-1', start, end, summary: 'Nuit', ...rest, ...bend };
}

describe('what concerns a person', () => {
  it('is a plan that he may sign and has not, never one that he asked for himself', () => {
    expect(say({})).toEqual(['ATLAS · To approve · Monthly']);
    expect(say({ isMine: true })).toEqual(['ATLAS · Waiting for approval · Monthly']);
    expect(say({ isSigned: true })).toEqual(['ATLAS · Waiting for approval · Monthly']);
  });

  it('is no plan that his keys do not sign, nor one that nobody can sign any more', () => {
    expect(say({}, { nowMs, classes: ['R1'] })).toEqual([]);
    expect(say({}, { nowMs, classes: [] })).toEqual([]);
    expect(say({ endsAt: new Date(nowMs) })).toEqual([]);
  });

  it('is a run that he asked for or signed, one event from plan to end, and says how it ended', () => {
    const run = { runId: 'r1', number: 7, state: 'cancelled', isSigned: true };
    const [found] = personalEntries([work(run)], signing, words);
    expect(found).toMatchObject({
      id: 'plan-p1',
      summary: 'ATLAS · Run 7 (cancelled) · Monthly',
      busy: false,
    });
    expect(found?.status).toBe('cancelled');
    expect(say({ ...run, isSigned: false })).toEqual([]);
  });
});

describe('the times of a site', () => {
  it('keep their identifier when the hour of a window changes', () => {
    const local = (at: string, hour: string) => ({ at, local: `2026-11-21T${hour}+01:00` });
    const occurrence = (hour: string) => {
      const [start, end] = [
        local('2026-11-21T19:00:00.000Z', hour),
        local('2026-11-21T23:00:00.000Z', '24:00'),
      ];
      const clocks = { elapsedMinutes: 240, startNote: null, endNote: null, cuts: [] };
      return { start, end, pieces: [{ start, end }], ...clocks };
    };
    const ids = ['20:00', '21:00'].map((hour) => {
      const window = { windowId: 'w', name: 'Nuit', siteId: null, timeZone: 'Europe/Paris' };
      const windows = [{ ...window, occurrence: occurrence(hour) }];
      const about = { locale: 'fr', revisedAt: new Date(nowMs) } as const;
      return ruleEntries({ windows, freezes: [] }, ['s'], about)[0]?.id;
    });
    expect(ids).toEqual(['window-w-2026-11-21-0', 'window-w-2026-11-21-0']);
  });
});

describe('iCalendar', () => {
  const lines = (entries: readonly Entry[]): string =>
    icsOf({ name: 'ATLAS · Siège', locale: 'fr' }, entries);

  it('folds long lines at 75 bytes without breaking a letter, and escapes what has a meaning', () => {
    const summary = `Été, nuit; ${'é'.repeat(60)} \\ fin\nBEGIN:VEVENT`;
    const text = lines([entry({ summary })]);
    const encoded = text.split('\r\n');
    expect(encoded.every((line) => Buffer.byteLength(line) <= 75)).toBe(true);
    expect(text).not.toContain('\uFFFD');
    const whole = text.replaceAll('\r\n ', '');
    expect(whole).toContain(`SUMMARY:Été\\, nuit\\; ${'é'.repeat(60)} \\\\ fin\\nBEGIN:VEVENT`);
    expect(whole.match(/^BEGIN:VEVENT/gm)).toHaveLength(1);
  });

  it('dates an event by its last change, and numbers a later change higher', () => {
    const text = lines([entry()]);
    expect(text).toContain('DTSTAMP:20261120T080000Z\r\n');
    expect(text).toContain('DTSTART:20261122T200000Z\r\n');
    expect(text).toContain('UID:window-1@atlas\r\n');
    expect(lines([entry()])).toBe(text);
    const [first, second] = ['2026-11-20T08:00:00Z', '2026-11-20T08:00:01Z'].map((at) =>
      sequenceOf(new Date(at)),
    );
    expect((second ?? 0) - (first ?? 0)).toBe(1);
    expect(sequenceOf(new Date(0))).toBe(0);
    // RFC 5545 numbers are signed, of 32 bits.
    expect(sequenceOf(new Date('2090-01-01'))).toBeLessThan(2 ** 31);
  });
});
