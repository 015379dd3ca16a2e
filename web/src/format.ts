import type { Locale } from './messages/translate.state.svelte.ts';

const unitsOf: Readonly<Record<Locale, { d: string; h: string; min: string; s: string }>> = {
  fr: { d: 'j', h: 'h', min: 'min', s: 's' },
  en: { d: 'd', h: 'h', min: 'min', s: 's' },
};
const fixed = '\u00a0';

/** A duration in words, two units at most: « 1 h 05 min », « 42 s ». Negative values count as zero. */
export function formatDuration(milliseconds: number, locale: Locale): string {
  const unit = unitsOf[locale];
  const total = Math.max(0, Math.round(milliseconds / 1000));
  const days = Math.floor(total / 86_400);
  const hours = Math.floor((total % 86_400) / 3600);
  const minutes = Math.floor((total % 3600) / 60);
  const seconds = total % 60;
  if (days > 0) return twoUnits([days, unit.d], [hours, unit.h]);
  if (hours > 0) return twoUnits([hours, unit.h], [minutes, unit.min]);
  if (minutes > 0) return twoUnits([minutes, unit.min], [seconds, unit.s]);
  return `${seconds}${fixed}${unit.s}`;
}

type Amount = readonly [value: number, unit: string];

/** The smaller unit has two figures, and is left out when there is none of it. */
function twoUnits([large, largeUnit]: Amount, [small, smallUnit]: Amount): string {
  const first = `${large}${fixed}${largeUnit}`;
  return small === 0 ? first : `${first}${fixed}${String(small).padStart(2, '0')}${fixed}${smallUnit}`;
}

/** Seconds with one decimal, for measured phases: « 12,4 s ». */
export function formatSeconds(milliseconds: number, locale: Locale): string {
  const value = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  return `${value.format(milliseconds / 1000)}${fixed}s`;
}

const byteUnits: Readonly<Record<Locale, readonly string[]>> = {
  fr: ['o', 'ko', 'Mo', 'Go', 'To'],
  en: ['B', 'kB', 'MB', 'GB', 'TB'],
};

/** Decimal bytes: « 12,4 Mo » in French, "12.4 MB" in English. */
export function formatBytes(bytes: number, locale: Locale): string {
  const units = byteUnits[locale];
  let value = bytes;
  let index = 0;
  while (value >= 1000 && index < units.length - 1) {
    value /= 1000;
    index += 1;
  }
  const digits = value >= 100 || index === 0 ? 0 : 1;
  const text = new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(value);
  return `${text}${fixed}${units[index] ?? ''}`;
}

export function formatNumber(value: number, locale: Locale): string {
  return new Intl.NumberFormat(locale).format(value);
}

export interface TimeStyle {
  readonly date?: 'none' | 'short' | 'long';
  readonly seconds?: boolean;
}

/** Local time of a zone, 24 hours: « sam. 21 nov. 20:14 ». */
export function formatInstant(
  instant: string | number,
  place: { locale: Locale; zone: string },
  style: TimeStyle = {},
): string {
  const options: Intl.DateTimeFormatOptions = {
    timeZone: place.zone,
    hourCycle: 'h23',
    hour: '2-digit',
    minute: '2-digit',
    ...(style.seconds === true ? { second: '2-digit' } : {}),
    ...dateOptions(style.date ?? 'short'),
  };
  const locale = place.locale === 'en' ? 'en-GB' : 'fr-FR';
  return new Intl.DateTimeFormat(locale, options).format(new Date(instant));
}

function dateOptions(date: 'none' | 'short' | 'long'): Intl.DateTimeFormatOptions {
  if (date === 'none') return {};
  if (date === 'short') return { weekday: 'short', day: 'numeric', month: 'short' };
  return { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' };
}

/** The same instant in UTC, for the hover: « 2026-11-21 20:14:05 UTC ». */
export function formatUtc(instant: string | number): string {
  return new Date(instant)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, `${fixed}UTC`);
}

/** Age or wait in words: « il y a 3 minutes », « dans 2 heures ». */
export function formatRelative(instant: string | number, now: number, locale: Locale): string {
  const seconds = Math.round((new Date(instant).getTime() - now) / 1000);
  const format = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  const size = Math.abs(seconds);
  if (size < 60) return format.format(seconds, 'second');
  if (size < 3600) return format.format(Math.trunc(seconds / 60), 'minute');
  if (size < 86_400) return format.format(Math.trunc(seconds / 3600), 'hour');
  return format.format(Math.trunc(seconds / 86_400), 'day');
}
