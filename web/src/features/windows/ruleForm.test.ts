import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nths, readRule, ruleDays, writeRule, type RuleForm } from './ruleForm.ts';

const forms: fc.Arbitrary<RuleForm> = fc.oneof(
  fc.constant({ kind: 'daily' as const }),
  fc.record({
    kind: fc.constant('weekly' as const),
    interval: fc.integer({ min: 1, max: 53 }),
    days: fc.subarray([...ruleDays], { minLength: 1 }),
  }),
  fc.record({
    kind: fc.constant('monthlyNth' as const),
    nth: fc.constantFrom(...nths),
    day: fc.constantFrom(...ruleDays),
  }),
  fc.record({ kind: fc.constant('monthlyDay' as const), date: fc.constantFrom(-1, 1, 15, 31) }),
  fc.record({
    kind: fc.constant('yearly' as const),
    month: fc.integer({ min: 1, max: 12 }),
    date: fc.integer({ min: 1, max: 31 }),
  }),
);

describe('the fields of a rule', () => {
  it('read back what they wrote', () => {
    fc.assert(
      fc.property(forms, (form) => {
        expect(readRule(writeRule(form))).toEqual(form);
      }),
    );
  });

  it('leave a rule that they cannot show as it is', () => {
    for (const text of ['FREQ=YEARLY;BYMONTH=12;BYDAY=1MO', 'FREQ=DAILY;COUNT=3', 'FREQ=WEEKLY;BYDAY=', 'x'])
      expect([readRule(text), writeRule(readRule(text))]).toEqual([{ kind: 'custom', text }, text]);
  });
});
