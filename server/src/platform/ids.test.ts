import { describe, expect, it } from 'vitest';
import { createIdSource, firstIdOf, isUuid, newId } from './ids.ts';

describe('identifiers', () => {
  it('are version 7 UUIDs that carry the millisecond', () => {
    const next = createIdSource({ now: () => 0x0123456789ab, random: (target) => target.fill(0xff) });
    const id = next();
    expect(id).toBe('01234567-89ab-73ff-bfff-ffffffffffff');
    expect(isUuid(id)).toBe(true);
  });

  it('grow strictly although ten thousand are made in one millisecond and the clock then goes back', () => {
    let nowMs = 1_700_000_000_000;
    const next = createIdSource({ now: () => nowMs, random: (target) => target.fill(0xff) });
    const ids = Array.from({ length: 10_000 }, next);
    nowMs -= 3_600_000;
    ids.push(next(), next());
    expect(ids).toEqual([...new Set(ids)].sort());
    expect(ids.every(isUuid)).toBe(true);
  });

  it('of a later instant come after the first one of that instant, and none before it does', () => {
    const at = (ms: number, fill: number) =>
      createIdSource({ now: () => ms, random: (target) => target.fill(fill) })();
    expect(firstIdOf(1_700_000_000_000)).toBe('018bcfe5-6800-7000-8000-000000000000');
    expect(at(1_700_000_000_000, 0) >= firstIdOf(1_700_000_000_000)).toBe(true);
    expect(at(1_699_999_999_999, 0xff) < firstIdOf(1_700_000_000_000)).toBe(true);
  });

  it('are told from other text', () => {
    expect(isUuid(newId())).toBe(true);
    expect(isUuid(newId().toUpperCase())).toBe(false);
    expect(isUuid('')).toBe(false);
    expect(isUuid(`${newId()}'; drop table tenants; --`)).toBe(false);
  });
});
