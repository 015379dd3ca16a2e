import { describe, expect, it } from 'vitest';
import { judgeSchedule, type Schedule } from './occurrences.policy.ts';

const saturdays: Schedule = {
  timeZone: 'Europe/Paris',
  startsOn: '2026-11-21',
  startTime: '20:00',
  rule: 'FREQ=WEEKLY;BYDAY=SA',
  durationMinutes: 960,
};
const judge = (bend: Partial<Schedule>) => judgeSchedule({ ...saturdays, ...bend });

describe('a schedule', () => {
  it('is accepted when its rule gives starts that do not run into one another', () => {
    for (const rule of [
      'FREQ=WEEKLY;BYDAY=SA',
      'FREQ=WEEKLY;INTERVAL=2;BYDAY=SA;WKST=MO',
      'FREQ=MONTHLY;BYDAY=2TU',
      'FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1',
      'FREQ=MONTHLY;BYMONTHDAY=-1',
      'FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29',
      'FREQ=DAILY;UNTIL=20270101T000000Z',
      'FREQ=DAILY;COUNT=3',
    ])
      expect([rule, judge({ rule })]).toEqual([rule, null]);
  });

  it.each([
    ['BYDAY=SA', 'no_frequency'],
    ['FREQ=HOURLY', 'too_often'],
    ['FREQ=SECONDLY;COUNT=3', 'too_often'],
    ['FREQ=FORTNIGHTLY', 'bad_value'],
    ['FREQ=DAILY;BYHOUR=2,3', 'unsupported_part'],
    ['FREQ=YEARLY;BYWEEKNO=20', 'unsupported_part'],
    ['RSCALE=CHINESE;FREQ=YEARLY', 'unsupported_part'],
    ['FREQ=DAILY;COLOUR=3', 'unknown_part'],
    ['FREQ=DAILY;FREQ=DAILY', 'repeated_part'],
    ['FREQ=DAILY;', 'malformed_part'],
    ['RRULE:FREQ=DAILY', 'malformed_part'],
    ['FREQ=DAILY;INTERVAL=0', 'bad_value'],
    ['FREQ=YEARLY;INTERVAL=5', 'bad_value'],
    ['FREQ=WEEKLY;BYDAY=2SA', 'bad_value'],
    ['FREQ=MONTHLY;BYDAY=6SA', 'bad_value'],
    ['FREQ=WEEKLY;BYMONTHDAY=3', 'bad_value'],
    ['FREQ=MONTHLY;BYMONTHDAY=32', 'bad_value'],
    ['FREQ=YEARLY;BYMONTH=13', 'bad_value'],
    ['FREQ=DAILY;UNTIL=20271301T000000Z', 'bad_value'],
    ['FREQ=DAILY;UNTIL=20270101', 'bad_value'],
    ['FREQ=DAILY;COUNT=3;UNTIL=20270101T000000Z', 'count_and_until'],
    ['FREQ=MONTHLY;BYSETPOS=1', 'position_alone'],
    ['FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30', 'yields_nothing'],
    ['FREQ=DAILY;UNTIL=20250101T000000Z', 'yields_nothing'],
  ])('with the rule %s is refused: %s', (rule, code) => {
    expect(judge({ rule })).toMatchObject({ path: 'rule', code });
  });

  it('is refused in a zone that does not exist or is only an offset, from a date that does not exist, and longer than its distance', () => {
    expect(judge({ timeZone: 'Europe/Atlantis' })).toMatchObject({ path: 'timeZone', code: 'unknown_zone' });
    expect(judge({ timeZone: '+01:00' })).toMatchObject({ path: 'timeZone', code: 'unknown_zone' });
    expect(judge({ startsOn: '2027-02-29' })).toMatchObject({ path: 'startsOn', code: 'no_such_date' });
    expect(judge({ rule: 'FREQ=DAILY', durationMinutes: 1500 })).toEqual({
      path: 'durationMinutes',
      code: 'overlaps_itself',
      values: { minutes: 1500, least: 1440 },
    });
  });
});
