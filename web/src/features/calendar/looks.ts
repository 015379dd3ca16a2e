import type { CalendarItem } from './calendarDays.ts';

/** How each kind looks: a freeze is hatched, and so is a window that freezes took whole. */
export function lookOf({ kind, gone }: Pick<CalendarItem, 'kind' | 'gone'>): string {
  if (kind === 'freeze') return 'border-line-strong bg-unknown-soft hatched text-ink';
  if (kind === 'window')
    return gone ? 'border-line hatched text-muted' : 'border-line bg-accent-soft text-ink';
  return kind === 'run' ? 'border-line bg-running-soft text-ink' : 'border-line bg-waiting-soft text-ink';
}
