import type { TimelineLane } from '#contract/calendar.ts';
import { formatInstant } from '../../format.ts';
import { t, tCode, translator } from '../../messages/translate.state.svelte.ts';
import type { Bar } from './timelineBars.ts';

export const kindWord = (kind: Bar['kind']): string =>
  kind === 'exception' ? t('timeline.kind.exception') : t(`calendar.kind.${kind}`);

export const laneName = ({ name }: Pick<TimelineLane, 'name'>): string => name ?? t('timeline.ungrouped');

export const instantIn = (at: string, zone: string): string =>
  formatInstant(at, { locale: translator.locale, zone }, { date: 'short' });

/** When it is expected to end, or that it should have ended; null when nothing was foretold. */
export function sayExpected({ expected, state }: Bar, zone: string, nowMs: number): string | null {
  if (expected === null) return null;
  const [low, high] = [instantIn(expected.low, zone), instantIn(expected.high, zone)];
  const late = state === 'running' && nowMs > Date.parse(expected.high);
  return late ? t('timeline.late', { high }) : t('timeline.expected', { low, high });
}

/** Everything that is drawn, said: for who does not see it, and for who wants to be sure. */
export function sayBar(bar: Bar, zone: string, nowMs: number): string {
  const title = bar.title === '' ? t('timeline.everyUpdate') : bar.title;
  const [from, to] = [bar.startsAt, bar.endsAt].map((at) => instantIn(at, zone));
  const parts = [t('timeline.bar', { kind: kindWord(bar.kind), title, from, to })];
  if (bar.state !== null) parts.push(tCode('run', bar.state));
  if (bar.hostState !== null) parts.push(tCode('hostRun', bar.hostState));
  if (bar.wave !== null) parts.push(t('timeline.wave', { wave: bar.wave }));
  if (bar.gone) parts.push(t('timeline.gone'));
  const expected = sayExpected(bar, zone, nowMs);
  if (expected !== null) parts.push(expected);
  if (bar.conflicts.length > 0) parts.push(t('timeline.conflictCount', { count: bar.conflicts.length }));
  return parts.map((part) => part.replace(/\.$/, '')).join('. ');
}
