import { describe, expect, it } from 'vitest';
import { fromLocalField, nextHour, toLocalField } from './windowTimes.ts';

describe('the window’s local times', () => {
  it('are instants of the site, not of the browser', () => {
    const summer = fromLocalField('2026-07-01T22:00', 'Europe/Paris');
    expect(new Date(summer ?? 0).toISOString()).toBe('2026-07-01T20:00:00.000Z');
    expect(toLocalField(summer ?? 0, 'Europe/Paris')).toBe('2026-07-01T22:00');
  });

  it('that do not exist in spring are said not to exist', () => {
    expect(fromLocalField('2026-03-29T02:30', 'Europe/Paris')).toBeNull();
  });

  it('that exist twice in autumn are the first of the two', () => {
    const first = fromLocalField('2026-10-25T02:30', 'Europe/Paris');
    expect(new Date(first ?? 0).toISOString()).toBe('2026-10-25T00:30:00.000Z');
  });

  it('are refused when they are no time', () => {
    expect(fromLocalField('', 'Europe/Paris')).toBeNull();
    expect(fromLocalField('2026-13-40T99:99', 'Europe/Paris')).toBeNull();
  });

  it('start on a full hour, ten minutes ahead at least', () => {
    expect(new Date(nextHour(Date.parse('2026-11-21T20:55:00Z'))).toISOString()).toBe(
      '2026-11-21T22:00:00.000Z',
    );
  });
});
