import type { FreezeBody, WindowBody } from '#contract/windows.ts';

/** A careful start: Saturday 20:00 to Sunday 12:00. */
export function newWindow(zone: string, today: string): WindowBody {
  return {
    name: '',
    siteId: null,
    timeZone: zone,
    startsOn: today,
    startTime: '20:00',
    rule: 'FREQ=WEEKLY;BYDAY=SA',
    durationMinutes: 960,
    startCutOffMinutes: 120,
    rebootReserveMinutes: 60,
    hardStopMinutes: 60,
    missedRun: 'ask',
  };
}

/** The members that are sent: a stored window carries more than its body. */
export function windowBody(window: WindowBody): WindowBody {
  const { name, siteId, timeZone, startsOn, startTime, rule, durationMinutes } = window;
  const { startCutOffMinutes, rebootReserveMinutes, hardStopMinutes, missedRun = 'ask' } = window;
  const ends = { startCutOffMinutes, rebootReserveMinutes, hardStopMinutes, missedRun };
  return { name: name.trim(), siteId, timeZone, startsOn, startTime, rule, durationMinutes, ...ends };
}

export type RecurringFreeze = Extract<FreezeBody['when'], { kind: 'recurring' }>;

/** Three weeks around the end of the year, for a freeze that comes again. */
export function newRecurring(zone: string, today: string): RecurringFreeze {
  return {
    kind: 'recurring',
    timeZone: zone,
    startsOn: today,
    startTime: '12:00',
    rule: 'FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=15',
    durationMinutes: 21 * 1440,
  };
}
