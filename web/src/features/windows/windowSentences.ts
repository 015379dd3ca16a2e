import type { ScheduleProblem } from '#contract/windows.ts';
import { formatInstant } from '../../format.ts';
import { t, tCode, translator } from '../../messages/translate.state.svelte.ts';
import { readRule, ruleDays, type RuleDay } from './ruleForm.ts';

/** 5 January 1970 was a Monday. */
const mondayMs = 4 * 86_400_000;

/** Name of a weekday in the reader's language. */
export function dayName(day: RuleDay, length: 'short' | 'long' = 'long'): string {
  const at = new Date(mondayMs + ruleDays.indexOf(day) * 86_400_000);
  return new Intl.DateTimeFormat(translator.locale, { weekday: length, timeZone: 'UTC' }).format(at);
}

/** Name of a month, from 1, in the reader's language. */
export function monthName(month: number): string {
  const at = new Date(Date.UTC(2026, month - 1, 1));
  return new Intl.DateTimeFormat(translator.locale, { month: 'long', timeZone: 'UTC' }).format(at);
}

/** A rule in words. */
export function sayRule(rule: string): string {
  const form = readRule(rule);
  switch (form.kind) {
    case 'daily':
      return t('rule.say.daily');
    case 'weekly':
      return t('rule.say.weekly', {
        interval: form.interval,
        days: form.days.map((day) => dayName(day)).join(', '),
      });
    case 'monthlyNth':
      return t('rule.say.monthlyNth', { nth: tCode('rule.nth', String(form.nth)), day: dayName(form.day) });
    case 'monthlyDay':
      return t('rule.say.monthlyDay', { day: form.date === -1 ? t('rule.lastDay') : String(form.date) });
    case 'yearly':
      return t('rule.say.yearly', { day: String(form.date), month: monthName(form.month) });
    case 'custom':
      return t('rule.say.custom', { rule: form.text });
  }
}

export function sayScheduleProblem(problem: ScheduleProblem): string {
  return tCode('windowProblem', problem.code, problem.values);
}

/** The sentence about a member of the form, when something is wrong with it. */
export function problemAt(problems: readonly ScheduleProblem[], path: string): string | undefined {
  const found = problems.find((problem) => problem.path === path);
  return found === undefined ? undefined : sayScheduleProblem(found);
}

/** An instant on the clock of a zone, with that clock's offset. */
export function sayLocal(at: { readonly at: string; readonly local: string }, zone: string): string {
  return `${formatInstant(at.at, { locale: translator.locale, zone })} (${at.local.slice(16)})`;
}

export function sayUtc(at: string): string {
  return formatInstant(at, { locale: translator.locale, zone: 'UTC' });
}
