import {
  formatBytes,
  formatDuration,
  formatInstant,
  formatNumber,
  formatRelative,
  formatSeconds,
} from './format.ts';
import type { TimeStyle } from './format.ts';
import { translator } from './messages/translate.state.svelte.ts';
import { tenant } from './tenant.state.svelte.ts';

/** Formatting in the reader's language and the site's zone; reading these inside a template keeps it current. */
export const showDuration = (milliseconds: number): string => formatDuration(milliseconds, translator.locale);
export const showSeconds = (milliseconds: number): string => formatSeconds(milliseconds, translator.locale);
export const showBytes = (bytes: number): string => formatBytes(bytes, translator.locale);
export const showNumber = (value: number): string => formatNumber(value, translator.locale);
export const showRelative = (instant: string, now: number): string =>
  formatRelative(instant, now, translator.locale);
export const showInstant = (instant: string, style?: TimeStyle): string =>
  formatInstant(instant, { locale: translator.locale, zone: tenant.zone }, style);
/** Milliseconds between two instants; the end is now when there is none. */
export const elapsedMs = (from: string, to: string | null, now: number): number =>
  (to === null ? now : Date.parse(to)) - Date.parse(from);
