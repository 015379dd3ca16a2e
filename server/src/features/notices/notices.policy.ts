import { noticeDays, type Notice } from '#contract/notices.ts';
import type { Role } from '#contract/access.ts';

const dayMs = 86_400_000;
const minuteMs = 60_000;

/** Who is told until somebody says otherwise. */
export const defaultRoles: readonly Role[] = ['tenant_admin', 'operator', 'client_viewer'];

/** Pauses after the first, second, … attempt that may go well later: seven and a half hours in all. */
const pausesMs = [0.5, 2, 10, 30, 60, 120, 240].map((minutes) => minutes * minuteMs);

/** When people are told: seven days ahead, at once when there is less time than that. */
export function noticeDueMs(
  kind: Notice['kind'],
  { notBeforeMs, nowMs }: { readonly notBeforeMs: number; readonly nowMs: number },
): number {
  return kind === 'planned' ? Math.max(nowMs, notBeforeMs - noticeDays * dayMs) : nowMs;
}

/** Whole days from one instant to another; 0 when it is over. */
export function daysBetween(fromMs: number, toMs: number): number {
  return Math.max(0, Math.floor((toMs - fromMs) / dayMs));
}

/** When a mail is tried again after so many attempts; null when it is given up. */
export function nextAttemptMs(attempts: number, nowMs: number): number | null {
  const pauseMs = pausesMs[attempts - 1];
  return pauseMs === undefined ? null : nowMs + pauseMs;
}

interface Reached {
  readonly sent: number;
  readonly failed: number;
  readonly withdrawn: number;
  readonly open: number;
}

/** What became of a notice, once none of its mails is on its way; null before. */
export function noticeEnd({ sent, failed, withdrawn, open }: Reached): Notice['state'] | null {
  if (open > 0) return null;
  if (sent === 0 && failed === 0) return withdrawn === 0 ? 'nobody' : 'superseded';
  if (sent === 0) return 'failed';
  return failed === 0 ? 'sent' : 'partly_sent';
}

export interface Wanted {
  readonly personId: string | null;
  readonly address: string;
  readonly locale: 'fr' | 'en';
}

/** Each address once, whatever its letters' case; a member's own language wins over the list's. */
export function eachOnce(wanted: readonly Wanted[]): Wanted[] {
  const byAddress = new Map<string, Wanted>();
  for (const one of [...wanted].sort((a, b) => Number(a.personId === null) - Number(b.personId === null))) {
    const key = one.address.toLowerCase();
    if (!byAddress.has(key)) byAddress.set(key, one);
  }
  return [...byAddress.values()];
}
