import { describe, expect, it } from 'vitest';
import {
  formatBytes,
  formatDuration,
  formatInstant,
  formatRelative,
  formatSeconds,
  formatUtc,
} from './format.ts';

const plain = (text: string): string => text.replace(/[\u00a0\u202f]/g, ' ');

describe('durations', () => {
  it('have two units at most', () => {
    expect(plain(formatDuration(42_000, 'fr'))).toBe('42 s');
    expect(plain(formatDuration(65_000, 'fr'))).toBe('1 min 05 s');
    expect(plain(formatDuration(3_900_000, 'en'))).toBe('1 h 05 min');
    expect(plain(formatDuration(93_600_000, 'fr'))).toBe('1 j 02 h');
    expect(plain(formatDuration(93_600_000, 'en'))).toBe('1 d 02 h');
  });

  it('leave out a smaller unit of which there is none', () => {
    expect(plain(formatDuration(900_000, 'fr'))).toBe('15 min');
    expect(plain(formatDuration(7_200_000, 'en'))).toBe('2 h');
  });

  it('are never negative', () => {
    expect(plain(formatDuration(-5000, 'fr'))).toBe('0 s');
  });

  it('of measured phases have one decimal in the reader’s way', () => {
    expect(plain(formatSeconds(14_240, 'fr'))).toBe('14,2 s');
    expect(plain(formatSeconds(14_240, 'en'))).toBe('14.2 s');
  });
});

describe('sizes', () => {
  it('use octets in French and bytes in English', () => {
    expect(plain(formatBytes(12_400_000, 'fr'))).toBe('12,4 Mo');
    expect(plain(formatBytes(12_400_000, 'en'))).toBe('12.4 MB');
    expect(plain(formatBytes(900, 'fr'))).toBe('900 o');
  });
});

describe('instants', () => {
  const at = '2026-10-25T01:30:00.000Z';
  it('are shown in the site’s zone, on the winter side of a change too', () => {
    expect(plain(formatInstant(at, { locale: 'fr', zone: 'Europe/Paris' }, { date: 'none' }))).toBe('02:30');
    expect(plain(formatInstant(at, { locale: 'en', zone: 'America/New_York' }, { date: 'none' }))).toBe(
      '21:30',
    );
    expect(plain(formatUtc(at))).toBe('2026-10-25 01:30:00 UTC');
  });

  it('say their age in words', () => {
    const now = Date.parse(at);
    expect(formatRelative('2026-10-25T01:27:00.000Z', now, 'fr')).toBe('il y a 3 minutes');
    expect(formatRelative('2026-10-25T03:30:00.000Z', now, 'en')).toBe('in 2 hours');
  });
});
