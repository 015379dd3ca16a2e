import { describe, expect, it } from 'vitest';
import { mailOf, type NoticeFacts } from './notices.mail.ts';
import { eachOnce, nextAttemptMs, noticeDueMs, noticeEnd } from './notices.policy.ts';

const dayMs = 86_400_000;

describe('a notice', () => {
  it('is due seven days ahead, at once when there is less time, and at once when it is no plan', () => {
    const nowMs = 100 * dayMs;
    expect(noticeDueMs('planned', { notBeforeMs: nowMs + 20 * dayMs, nowMs })).toBe(nowMs + 13 * dayMs);
    expect(noticeDueMs('planned', { notBeforeMs: nowMs + 2 * dayMs, nowMs })).toBe(nowMs);
    expect(noticeDueMs('cancelled', { notBeforeMs: nowMs + 20 * dayMs, nowMs })).toBe(nowMs);
  });

  it('is tried eight times within a working day, then given up', () => {
    let [atMs, attempts] = [0, 1];
    for (let next = nextAttemptMs(attempts, atMs); next !== null; next = nextAttemptMs(attempts, atMs)) {
      expect(next).toBeGreaterThan(atMs);
      [atMs, attempts] = [next, attempts + 1];
    }
    expect(attempts).toBe(8);
    expect(atMs).toBeLessThan(8 * 3_600_000);
  });

  it('ends when none of its mails is open, and never says sent of what was not', () => {
    const none = { sent: 0, failed: 0, withdrawn: 0, open: 0 };
    expect(noticeEnd({ ...none, sent: 3, open: 1 })).toBeNull();
    expect(noticeEnd({ ...none, sent: 3 })).toBe('sent');
    expect(noticeEnd({ ...none, sent: 3, failed: 1 })).toBe('partly_sent');
    expect(noticeEnd({ ...none, failed: 1 })).toBe('failed');
    expect(noticeEnd({ ...none, withdrawn: 1 })).toBe('superseded');
    expect(noticeEnd(none)).toBe('nobody');
  });

  it('goes to each address once; a member’s own language wins', () => {
    const listed = { personId: null, address: 'A@x.test', locale: 'fr' } as const;
    const member = { personId: 'p', address: 'a@x.test', locale: 'en' } as const;
    expect(eachOnce([listed, member, { ...listed, address: 'b@x.test' }])).toEqual([
      member,
      { ...listed, address: 'b@x.test' },
    ]);
  });
});

describe('the text of a notice', () => {
  const facts: NoticeFacts = {
    ...{ title: 'Correctifs de novembre', tenantName: 'Clinique', runNumber: 12 },
    ...{ notBefore: '2026-11-28T19:00:00.000Z', notAfter: '2026-11-29T11:00:00.000Z' },
    ...{ timeZone: 'Europe/Paris', siteIds: [], siteNames: ['Siège', 'Annexe'], hosts: 4 },
    ...{ reason: null, nextNotBefore: null },
  };
  const notice = { kind: 'planned' as const, facts, runId: 'r', createdAtMs: 0, from: 'atlas@x.test' };
  const to = { id: 'm', address: 'zoe@x.test' };
  const nowMs = Date.parse('2026-11-21T18:00:00.000Z');

  it('says times on the site’s clock and in UTC, in the language of the reader', () => {
    const french = mailOf(notice, { ...to, locale: 'fr' }, nowMs).text;
    expect(french).toContain('Elle commence dans 7 j.');
    expect(french).toContain('samedi 28 novembre 2026');
    expect(french).toContain('20:00 (Europe/Paris) — 28/11 19:00 UTC');
    const english = mailOf(notice, { ...to, locale: 'en' }, nowMs).text;
    expect(english).toContain('It begins in 7 days.');
    expect(english).toContain('Saturday');
    expect(english).toContain('Servers: 4');
  });

  it('of a postponement names the new date and that it is not released yet', () => {
    const moved = { ...facts, reason: 'Bloc opératoire occupé', nextNotBefore: '2026-12-05T19:00:00.000Z' };
    const { text, calendar } = mailOf(
      { ...notice, kind: 'postponed', facts: moved },
      { ...to, locale: 'fr' },
      nowMs,
    );
    expect(text).toContain('Bloc opératoire occupé');
    expect(text).toContain('samedi 5 décembre 2026');
    expect(text).toContain('doit encore être validée');
    expect(calendar.method).toBe('CANCEL');
  });
});
