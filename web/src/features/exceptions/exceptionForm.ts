import { maxExceptionDays, type ExceptionBody } from '#contract/exceptions.ts';

const dayMs = 86_400_000;

/** What the form holds while somebody fills it in. */
export interface ExceptionDraft {
  everyUpdate: boolean;
  name: string;
  version: string;
  kind: ExceptionBody['place']['kind'];
  placeId: string;
  reason: string;
  compensation: string;
  ownerId: string;
  /** A day as the browser's date field writes it: 2026-11-21. */
  endsOn: string;
}

export const newDraft = (): ExceptionDraft => ({
  ...{ everyUpdate: false, name: '', version: '', kind: 'host', placeId: '' },
  ...{ reason: '', compensation: '', ownerId: '', endsOn: '' },
});

/** The last second of that day on the reader's clock; null when it names no day. */
function endOf(day: string): Date | null {
  const end = new Date(`${day}T23:59:59`);
  return Number.isNaN(end.getTime()) ? null : end;
}

/** Last day that may be chosen, as the date field takes it; in every zone of the earth its end is within the year. */
export function lastDay(nowMs: number): string {
  return new Date(nowMs + (maxExceptionDays - 2) * dayMs).toISOString().slice(0, 10);
}

type Lack = 'update' | 'place' | 'reason' | 'compensation' | 'owner' | 'end';

/** What is still missing, the first in the order of the form; null when it can be sent. */
export function lackOf(draft: ExceptionDraft, nowMs: number): Lack | null {
  if (!draft.everyUpdate && (draft.name.trim() === '' || draft.version.trim() === '')) return 'update';
  if (draft.kind !== 'tenant' && draft.placeId === '') return 'place';
  if (draft.reason.trim() === '') return 'reason';
  if (draft.compensation.trim() === '') return 'compensation';
  if (draft.ownerId === '') return 'owner';
  const aheadMs = (endOf(draft.endsOn)?.getTime() ?? 0) - nowMs;
  return aheadMs > 0 && aheadMs <= maxExceptionDays * dayMs ? null : 'end';
}

/** What is sent; ask `lackOf` first. */
export function bodyOf(draft: ExceptionDraft): ExceptionBody {
  const { everyUpdate, kind, ownerId } = draft;
  return {
    update: everyUpdate ? null : { name: draft.name.trim(), version: draft.version.trim() },
    place: { kind, id: kind === 'tenant' ? null : draft.placeId },
    reason: draft.reason.trim(),
    compensation: draft.compensation.trim(),
    ownerId,
    expiresAt: endOf(draft.endsOn)?.toISOString() ?? '',
  };
}
