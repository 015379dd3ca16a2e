import { RRuleTemporal } from 'rrule-temporal';
import type { ScheduleProblem } from '#contract/windows.ts';
import { instantOf, isZone, type ClockNote } from './localTime.policy.ts';
import { parseRule, type ParsedRule } from './rule.policy.ts';

/** When something recurs: a rule on local dates, a local time of day, a zone, and a length on the wall clock. */
export interface Schedule {
  /** IANA name. */
  readonly timeZone: string;
  /** First local date that the rule looks at: 2026-11-21. */
  readonly startsOn: string;
  /** Local time of day: 20:00. */
  readonly startTime: string;
  /** Recurrence rule (RFC 5545), without DTSTART. */
  readonly rule: string;
  /** Minutes on the wall clock between start and end. */
  readonly durationMinutes: number;
}

/** One span of a schedule, as instants. Half open: the end is not in it. */
export interface Occurrence {
  readonly startMs: number;
  readonly endMs: number;
  readonly startNote: ClockNote;
  readonly endNote: ClockNote;
}

const minuteMs = 60_000;
const dayMs = 86_400_000;
const yearMs = 366 * dayMs;
/** How far ahead is looked at all: a rule without a start in these years gives nothing. */
const horizonMs = 10 * yearMs;
/** Starts that are compared when a schedule is judged. */
const judged = 400;
/** Offsets lie between -12 h and +14 h, and a skipped start waits a day at most (a change of the date line). */
const slackMs = 2 * dayMs;

type Rule = RRuleTemporal;

/** Local starts are expanded as if they were UTC: the rule counts days, the zone is ours to apply. */
function expander(schedule: Schedule, parsed: ParsedRule): Rule {
  const stamp = `${schedule.startsOn.replaceAll('-', '')}T${schedule.startTime.replace(':', '')}00`;
  return new RRuleTemporal({ rruleString: `DTSTART:${stamp}Z\nRRULE:${parsed.rest}`, strict: true });
}

function localsBetween(rule: Rule, fromMs: number, toMs: number): Temporal.PlainDateTime[] {
  return rule
    .between(new Date(fromMs), new Date(toMs), true)
    .map(({ epochMilliseconds }) =>
      Temporal.Instant.fromEpochMilliseconds(epochMilliseconds).toZonedDateTimeISO('UTC').toPlainDateTime(),
    );
}

function isDate(text: string): boolean {
  try {
    return Temporal.PlainDate.from(text, { overflow: 'reject' }).toString() === text;
  } catch {
    // Not a date of the calendar; the caller hears it as a fact.
    return false;
  }
}

function startOf({ startsOn, startTime }: Schedule): number {
  return Date.parse(`${startsOn}T${startTime}:00Z`);
}

/** Why the schedule cannot be used, or null. Looks at the first ten years. */
export function judgeSchedule(schedule: Schedule): ScheduleProblem | null {
  const { timeZone, startsOn, durationMinutes } = schedule;
  if (!isZone(timeZone)) return { path: 'timeZone', code: 'unknown_zone', values: { zone: timeZone } };
  if (!isDate(startsOn)) return { path: 'startsOn', code: 'no_such_date', values: { date: startsOn } };
  const parsed = parseRule(schedule.rule);
  if ('code' in parsed) return parsed;
  const first = startOf(schedule);
  const nothing: ScheduleProblem = { path: 'rule', code: 'yields_nothing', values: { years: 10 } };
  const locals = localsBetween(expander(schedule, parsed), first, first + horizonMs).slice(0, judged);
  const [earliest] = locals;
  if (earliest === undefined) return nothing;
  if (parsed.untilMs !== null && instantOf(earliest, timeZone).ms > parsed.untilMs) return nothing;
  const gaps = locals.slice(1).map((local, n) => (locals[n] ?? local).until(local).total('minutes'));
  const least = Math.min(...gaps);
  if (least >= durationMinutes) return null;
  return { path: 'durationMinutes', code: 'overlaps_itself', values: { minutes: durationMinutes, least } };
}

/**
 * The span of one start. Its end is where the wall clock says so: eight hours through a spring night are seven.
 * Both ends inside the hour that is skipped would leave nothing: then the length counts as elapsed time.
 */
function spanOf(local: Temporal.PlainDateTime, schedule: Schedule): Occurrence {
  const { timeZone, durationMinutes } = schedule;
  const start = instantOf(local, timeZone);
  const end = instantOf(local.add({ minutes: durationMinutes }), timeZone);
  const endMs = end.ms > start.ms ? end.ms : start.ms + durationMinutes * minuteMs;
  return { startMs: start.ms, endMs, startNote: start.note, endNote: end.note };
}

/**
 * Every occurrence that touches [fromMs, toMs), in order; each start is later than the one before.
 * The schedule must have been judged. Pure.
 */
export function occurrencesBetween(schedule: Schedule, fromMs: number, toMs: number): Occurrence[] {
  const parsed = parseRule(schedule.rule);
  if ('code' in parsed) return [];
  const until = parsed.untilMs ?? Number.POSITIVE_INFINITY;
  const reach = schedule.durationMinutes * minuteMs + slackMs;
  const found: Occurrence[] = [];
  for (const local of localsBetween(expander(schedule, parsed), fromMs - reach, toMs + slackMs)) {
    const span = spanOf(local, schedule);
    const isNext = span.startMs > (found.at(-1)?.startMs ?? Number.NEGATIVE_INFINITY);
    if (isNext && span.startMs <= until) found.push(span);
  }
  return found.filter(({ startMs, endMs }) => endMs > fromMs && startMs < toMs);
}

/** The next occurrences that end after an instant, as many as there are within ten years. */
export function nextOccurrences(schedule: Schedule, afterMs: number, count: number): Occurrence[] {
  const found: Occurrence[] = [];
  const begin = Math.max(afterMs, startOf(schedule) - slackMs);
  for (let from = begin; from < begin + horizonMs && found.length < count; from += yearMs) {
    const last = found.at(-1)?.startMs ?? Number.NEGATIVE_INFINITY;
    found.push(
      ...occurrencesBetween(schedule, from, from + yearMs).filter(
        ({ startMs, endMs }) => startMs > last && endMs > afterMs,
      ),
    );
  }
  return found.slice(0, count);
}
