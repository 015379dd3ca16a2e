import type { Decision } from '#contract/runs.ts';
import type { DrainArgs, HealthCheck } from '#contract/verbs.ts';
import { t, tCode } from './messages/translate.state.svelte.ts';
import { showBytes, showInstant, showNumber } from './show.ts';

type Values = Readonly<Record<string, string | number>>;

const instant = /^\d{4}-\d\d-\d\dT/;

/** Codes among a decision's values become words; numbers and instants are shown as people read them. */
function inWords(values: Values): Record<string, string | number> {
  const words: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(values)) {
    if (name === 'state' || name === 'from' || name === 'to') words[name] = tCode('hostRun', String(value));
    else if (name === 'step') words[name] = tCode('step', String(value));
    else if (name === 'code') words[name] = tCode('code', String(value));
    else if (name === 'cause') words[name] = tCode('downCause', String(value));
    else if (name === 'kind') words[name] = tCode('dependencyKind', String(value));
    else if (name === 'check') words[name] = sayCheckName(String(value));
    else if (name.endsWith('Bytes')) words[name] = showBytes(Number(value));
    else if (name === 'seconds') words[name] = showNumber(Math.round(Number(value) * 10) / 10);
    else if (typeof value === 'string' && instant.test(value)) words[name] = showInstant(value);
    else words[name] = value;
  }
  return words;
}

/** Why something was decided, as a sentence; an unknown code is shown as it is. */
export function sayDecision(decision: Pick<Decision, 'code' | 'values'>): string {
  return tCode('decision', decision.code, inWords(decision.values));
}

/** Why a host is in a plan or not. */
export function sayPlanDecision(decision: { code: string; values: Values }): string {
  return tCode('planDecision', decision.code, inWords(decision.values));
}

/** Why a host is in its wave and not in the one before. */
export function sayPlacement(placement: { code: string; values: Values }): string {
  return tCode('planPlacement', placement.code, inWords(placement.values));
}

/** Why no order exists for some hosts. */
export function sayOrderRefusal(refusal: { code: string; values: Values }): string {
  return tCode('planRefusal', refusal.code, inWords(refusal.values));
}

export function sayWarning(warning: { code: string; values: Values }): string {
  return tCode('planWarning', warning.code, inWords(warning.values));
}

/** A health check in words. */
export function sayCheck(check: HealthCheck): string {
  switch (check.kind) {
    case 'systemd':
      return t('check.systemd', { unit: check.unit });
    case 'tcp':
      return t('check.tcp', { port: String(check.port) });
    case 'http':
      return check.contains === undefined
        ? t('check.http', { url: check.url, status: String(check.status) })
        : t('check.httpContains', { url: check.url, status: String(check.status), text: check.contains });
    case 'command':
      return tCode('checkCommand', check.id);
    case 'approved_updates_installed':
      return t('check.approvedUpdates');
  }
}

/** What is taken away before a change, in its order; undefined when nothing is. */
export function sayDrain(drain: Omit<DrainArgs, 'returnWithinS'> | undefined): string | undefined {
  const { hookWithinS, units = [] } = drain ?? {};
  const hook =
    hookWithinS === undefined ? [] : [t('policyWords.drainHook', { seconds: String(hookWithinS) })];
  const list = [
    ...hook,
    ...units.map(({ unit, withinS }) => t('policyWords.drainUnit', { unit, seconds: String(withinS) })),
  ];
  if (list.length === 0) return undefined;
  const seconds = units.reduce((sum, { withinS }) => sum + withinS, hookWithinS ?? 0);
  return t('policyWords.drain', { list: list.join(', '), seconds: String(seconds) });
}

/** A check as the agent names it in its results: the kind, a blank, and what is looked at. Unknown names stay as they are. */
export function sayCheckName(name: string): string {
  const [kind = '', ...rest] = name.split(' ');
  const target = rest.join(' ');
  if (kind === 'systemd') return t('check.systemd', { unit: target });
  if (kind === 'tcp') return t('check.tcp', { port: target });
  if (kind === 'http') return t('check.httpAnswers', { url: target });
  if (kind === 'command') return tCode('checkCommand', target);
  return kind === 'approved_updates_installed' ? t('check.approvedUpdates') : name;
}
