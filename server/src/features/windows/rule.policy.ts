import type { ScheduleProblem } from '#contract/windows.ts';

type Frequency = 'DAILY' | 'WEEKLY' | 'MONTHLY' | 'YEARLY';

/** A rule that was understood. `rest` is the rule without its end, which is judged on instants. */
export interface ParsedRule {
  readonly rest: string;
  readonly untilMs: number | null;
}

/** Longest intervals that still say something within the years that are looked at. */
const maxIntervals: Readonly<Record<Frequency, number>> = { DAILY: 366, WEEKLY: 53, MONTHLY: 24, YEARLY: 4 };
const tooOften = ['HOURLY', 'MINUTELY', 'SECONDLY'];
/** Parts of RFC 5545 and RFC 7529 that windows do not take: the time of day is the window's own. */
const unsupported = ['BYHOUR', 'BYMINUTE', 'BYSECOND', 'BYYEARDAY', 'BYWEEKNO', 'RSCALE', 'SKIP'];
const known = ['FREQ', 'INTERVAL', 'COUNT', 'UNTIL', 'BYDAY', 'BYMONTHDAY', 'BYMONTH', 'BYSETPOS', 'WKST'];
const maxCount = 10_000;
const weekday = /^([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)$/;

type Parts = ReadonlyMap<string, string>;
type Code = ScheduleProblem['code'];

function problem(code: Code, values: ScheduleProblem['values'] = {}): ScheduleProblem {
  return { path: 'rule', code, values };
}

function split(rule: string): Parts | ScheduleProblem {
  const parts = new Map<string, string>();
  for (const text of rule.split(';')) {
    const match = /^([A-Z]+)=([A-Z0-9,+-]+)$/.exec(text);
    const [, name, value] = match ?? [];
    if (name === undefined || value === undefined) return problem('malformed_part', { part: text });
    if (unsupported.includes(name)) return problem('unsupported_part', { part: name });
    if (!known.includes(name)) return problem('unknown_part', { part: name });
    if (parts.has(name)) return problem('repeated_part', { part: name });
    parts.set(name, value);
  }
  return parts;
}

function isWhole(text: string, min: number, max: number): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) >= min && Number(text) <= max;
}

function areSigned(text: string, max: number): boolean {
  return text.split(',').every((value) => {
    const [, digits] = /^[+-]?(\d{1,3})$/.exec(value) ?? [];
    return digits !== undefined && Number(digits) >= 1 && Number(digits) <= max;
  });
}

/** The n-th weekday has a meaning in a month or a year only; a month has five of each at most. */
function areWeekdays(text: string, frequency: Frequency, parts: Parts): boolean {
  const most =
    frequency === 'YEARLY' && !parts.has('BYMONTH')
      ? 53
      : frequency === 'YEARLY' || frequency === 'MONTHLY'
        ? 5
        : 0;
  return text.split(',').every((token) => {
    const match = weekday.exec(token);
    if (match === null) return false;
    const nth = match[1] === undefined ? null : Math.abs(Number(match[1]));
    return nth === null || (nth >= 1 && nth <= most);
  });
}

/** The end of a rule, in UTC (RFC 5545 section 3.3.10); null when it is no instant. */
function untilMs(text: string): number | null {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (match === null) return null;
  const [, year, month, day, hour, minute, second] = match;
  const iso = `${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
  const at = Date.parse(iso);
  return Number.isNaN(at) || new Date(at).toISOString() !== iso ? null : at;
}

function isGood(name: string, value: string, context: { frequency: Frequency; parts: Parts }): boolean {
  const { frequency, parts } = context;
  switch (name) {
    case 'INTERVAL':
      return isWhole(value, 1, maxIntervals[frequency]);
    case 'COUNT':
      return isWhole(value, 1, maxCount);
    case 'UNTIL':
      return untilMs(value) !== null;
    case 'BYDAY':
      return areWeekdays(value, frequency, parts);
    case 'BYMONTHDAY':
      // RFC 5545 forbids it in a weekly rule.
      return frequency !== 'WEEKLY' && areSigned(value, 31);
    case 'BYMONTH':
      return value.split(',').every((month) => isWhole(month, 1, 12));
    case 'BYSETPOS':
      return areSigned(value, 366);
    default:
      return /^(MO|TU|WE|TH|FR|SA|SU)$/.test(value);
  }
}

/**
 * Reads a recurrence rule: the part of RFC 5545 that gives at most one start a day.
 * Pure; a rule that is not taken is returned as a problem that says which part and why.
 */
export function parseRule(rule: string): ParsedRule | ScheduleProblem {
  const parts = split(rule);
  if (!(parts instanceof Map)) return parts as ScheduleProblem;
  const frequency = parts.get('FREQ');
  if (frequency === undefined) return problem('no_frequency');
  if (tooOften.includes(frequency)) return problem('too_often', { frequency });
  if (!(frequency in maxIntervals)) return problem('bad_value', { part: 'FREQ', value: frequency });
  const context = { frequency: frequency as Frequency, parts };
  for (const [name, value] of parts) {
    if (name === 'FREQ' || isGood(name, value, context)) continue;
    return problem('bad_value', { part: name, value });
  }
  if (parts.has('COUNT') && parts.has('UNTIL')) return problem('count_and_until');
  if (parts.has('BYSETPOS') && !['BYDAY', 'BYMONTHDAY', 'BYMONTH'].some((name) => parts.has(name)))
    return problem('position_alone');
  const until = parts.get('UNTIL');
  return {
    rest: [...parts]
      .filter(([name]) => name !== 'UNTIL')
      .map(([name, value]) => `${name}=${value}`)
      .join(';'),
    untilMs: until === undefined ? null : untilMs(until),
  };
}
