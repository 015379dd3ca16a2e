import { describe, expect, it } from 'vitest';
import { bodyOf, lackOf, lastDay, newDraft, type ExceptionDraft } from './exceptionForm.ts';

const nowMs = Date.parse('2026-11-21T10:00:00.000Z');
const whole: ExceptionDraft = {
  ...{ everyUpdate: false, name: ' openssl ', version: '3.0.17-1', kind: 'group', placeId: 'g' },
  ...{ reason: 'Progiciel', compensation: 'Réseau isolé', ownerId: 'p', endsOn: '2027-01-31' },
};

describe('the form of an exception', () => {
  it('says one thing that is missing at a time, in the order of its fields', () => {
    const order = ['update', 'place', 'reason', 'compensation', 'owner', 'end'];
    const fields = ['name', 'placeId', 'reason', 'compensation', 'ownerId', 'endsOn'] as const;
    fields.forEach((_field, index) => {
      const rest = Object.fromEntries(fields.slice(index).map((one) => [one, '']));
      expect(lackOf({ ...whole, ...rest }, nowMs)).toBe(order[index]);
    });
    expect(lackOf(newDraft(), nowMs)).toBe('update');
    expect(lackOf(whole, nowMs)).toBeNull();
  });

  it('takes every day from today to the last one that it offers, and none beyond', () => {
    const on = (endsOn: string) => lackOf({ ...whole, endsOn }, nowMs);
    expect(on('2026-11-21')).toBeNull();
    expect(on('2026-11-19')).toBe('end');
    expect(on(lastDay(nowMs))).toBeNull();
    expect(on('2027-11-23')).toBe('end');
  });

  it('sends nothing but what was chosen: no name for every update, no place for everywhere', () => {
    expect(bodyOf(whole)).toMatchObject({
      update: { name: 'openssl', version: '3.0.17-1' },
      place: { kind: 'group', id: 'g' },
    });
    expect(bodyOf({ ...whole, everyUpdate: true, kind: 'tenant' })).toMatchObject({
      update: null,
      place: { kind: 'tenant', id: null },
    });
  });
});
