import type { ResultCode, ResultFacts } from '#contract/results.ts';
import { isBeforeChange, isTerminal, type SelfRollback, type StepResult } from './host-run.model.ts';
import {
  concludeRolledBack,
  decideRollback,
  endAs,
  failUnchanged,
  goToChecks,
  move,
  note,
  order,
  orderAgain,
  patch,
  planRestart,
  proceed,
  setOutcomes,
  type Draft,
} from './host-run.moves.ts';

const second = 1000;
/** Trying again may help, and nothing was changed by the first try. */
const transientCodes: readonly ResultCode[] = [
  'network',
  'package_lock_busy',
  'lock_view_stale',
  'clock_behind',
];
/** Pauses before a step is tried again, one for each try. */
export const againDelaysMs = [5 * second, 30 * second, 120 * second];
/** Found by the host before it touched a package. */
const beforeInstallCodes: readonly ResultCode[] = [
  'guard_missing',
  'packages_drifted',
  'digest_mismatch',
  'package_lock_busy',
  'no_space',
  'network',
  'unsupported',
  'restart_required_first',
];

/** Values of a decision that speaks of a result. */
function said(result: StepResult): Record<string, string> {
  return { step: result.step, outcome: result.outcome, code: result.code };
}

/** True when the same step will be tried again after a pause. */
function triesAgain(draft: Draft, result: StepResult): boolean {
  const isBringingBack = result.step === 'undrain';
  const begun = isBringingBack || (draft.run.outcomes.patch !== 'not_started' && result.step !== 'install');
  const stopped = begun && result.code === 'locked';
  if (!stopped && !transientCodes.includes(result.code)) return false;
  if (result.outcome === 'succeeded' || result.outcome === 'indeterminate') return false;
  const delayMs = againDelaysMs[result.attempt - 1];
  // A stop after the change began lasts as long as people want: the total clock is the limit, not a count.
  if (delayMs === undefined && !stopped) return false;
  if (result.step === 'install') {
    if ((result.facts.installed?.length ?? 0) > 0) return false;
    setOutcomes(draft, { patch: 'not_installed' });
  }
  if (result.step === 'drain' && result.outcome === 'refused') patch(draft, { drain: null });
  orderAgain(draft, result.step, delayMs ?? 30 * second);
  return true;
}

/** A step that changes nothing did not succeed. */
function failEarly(
  draft: Draft,
  result: StepResult,
  code: 'preflight_failed' | 'guard_failed' | 'download_failed' | 'drain_failed',
): void {
  patch(draft, { open: null });
  if (result.code === 'locked') {
    note(draft, 'stopped_by_lock');
    endAs(draft, 'cancelled');
  } else if (result.code === 'after_window') {
    note(draft, 'window_over');
    endAs(draft, 'missed');
  } else {
    note(draft, result.outcome === 'refused' ? 'refused_by_agent' : code, said(result));
    failUnchanged(draft);
  }
}

function afterGuard(draft: Draft, result: StepResult): void {
  if (result.outcome !== 'succeeded') {
    setOutcomes(draft, { guard: 'failed' });
    failEarly(draft, result, 'guard_failed');
    return;
  }
  setOutcomes(draft, { guard: draft.run.terms.rollbackTier === 1 ? 'taken' : 'none' });
  patch(draft, { open: null });
  move(draft, 'guarded');
  proceed(draft, 'download');
}

function afterDownload(draft: Draft, result: StepResult): void {
  if (result.outcome !== 'succeeded') failEarly(draft, result, 'download_failed');
  else proceed(draft, draft.run.terms.steps.includes('drain') ? 'drain' : 'install');
}

function afterDrain(draft: Draft, result: StepResult): void {
  if (result.outcome === 'succeeded') {
    proceed(draft, 'install');
    return;
  }
  if (result.outcome === 'refused') patch(draft, { drain: null });
  failEarly(draft, result, 'drain_failed');
}

/** The host's work is still away, and trying again did not help. */
export function failUndrain(draft: Draft, values: Record<string, string>): void {
  const isOver = (draft.run.endsAs ?? null) !== null;
  patch(draft, { drain: 'stuck', open: null, again: null });
  if (!isOver) {
    // What does not come up after an update may come up without it.
    decideRollback(draft, 'undrain_failed', values);
    return;
  }
  draft.cause = 'undrain_failed';
  move(draft, 'failed');
}

function afterUndrain(draft: Draft, result: StepResult): void {
  if (result.outcome !== 'succeeded') {
    const delayMs = againDelaysMs[result.attempt - 1];
    if (delayMs !== undefined && result.outcome !== 'refused') orderAgain(draft, 'undrain', delayMs);
    else failUndrain(draft, said(result));
    return;
  }
  patch(draft, { drain: null, open: null });
  const { endsAs } = draft.run;
  if (endsAs === undefined || endsAs === null) {
    order(draft, 'verify');
    return;
  }
  note(draft, 'brought_back');
  move(draft, endsAs);
}

function failInstall(draft: Draft, result: StepResult): void {
  const touched = (result.facts.installed?.length ?? 0) > 0;
  const untouched =
    result.outcome === 'refused' || (result.outcome === 'failed' && beforeInstallCodes.includes(result.code));
  if (untouched && !touched) {
    setOutcomes(draft, { patch: 'not_installed' });
    if (result.code === 'locked') note(draft, 'stopped_by_lock');
    else note(draft, result.outcome === 'refused' ? 'refused_by_agent' : 'install_failed', said(result));
    failUnchanged(draft);
    return;
  }
  setOutcomes(draft, { patch: touched ? 'partly_installed' : 'unknown' });
  decideRollback(
    draft,
    result.outcome === 'indeterminate' ? 'indeterminate' : 'install_failed',
    said(result),
  );
}

function afterInstall(draft: Draft, result: StepResult): void {
  if (result.outcome !== 'succeeded') {
    failInstall(draft, result);
    return;
  }
  if (result.code === 'nothing_to_do') note(draft, 'nothing_to_do');
  setOutcomes(draft, { patch: 'installed' });
  patch(draft, { restartRequired: result.facts.restartRequired ?? null });
  planRestart(draft);
}

function afterRestart(draft: Draft, result: StepResult): void {
  const { bootIdBefore, bootIdAfter } = result.facts;
  if (result.outcome === 'succeeded' && result.code === 'nothing_to_do') {
    setOutcomes(draft, { restart: 'not_needed' });
    note(draft, 'restart_not_needed');
    goToChecks(draft);
    return;
  }
  // Only another boot id proves a restart; being reachable does not.
  const proven = result.outcome === 'succeeded' && bootIdAfter !== undefined && bootIdAfter !== bootIdBefore;
  setOutcomes(draft, { restart: proven ? 'proven' : 'not_proven' });
  if (proven) goToChecks(draft);
  else decideRollback(draft, 'restart_not_proven', said(result));
}

function afterVerify(draft: Draft, result: StepResult): void {
  const checks = result.facts.checks ?? [];
  const red = checks.filter((check) => !check.ok);
  if (result.outcome === 'succeeded' && red.length === 0) {
    setOutcomes(draft, { verification: 'green' });
    order(draft, 'commit');
    return;
  }
  const ran = result.outcome === 'failed' || result.outcome === 'succeeded' || red.length > 0;
  setOutcomes(draft, { verification: ran ? 'red' : 'unknown' });
  const first = red[0];
  decideRollback(draft, 'check_failed', {
    ...said(result),
    ...(first === undefined ? {} : { check: first.check }),
  });
}

function afterCommit(draft: Draft, result: StepResult): void {
  if (result.outcome === 'succeeded') {
    note(draft, 'commit_confirmed');
    move(draft, 'committed');
    setOutcomes(draft, { guard: draft.run.terms.rollbackTier === 1 ? 'kept' : 'none' });
    return;
  }
  const delayMs = againDelaysMs[result.attempt - 1];
  if (delayMs !== undefined && result.outcome !== 'refused') orderAgain(draft, 'commit', delayMs);
  else decideRollback(draft, 'indeterminate', said(result));
}

/** Seconds from the sight of the failure to the host being well again, as the slower of both observers says. */
function rollbackSeconds(draft: Draft, phasesMs: Readonly<Record<string, number>>): number {
  // Phases count from the sight of the failure, so the last of them is the whole.
  const measuredMs = Math.max(0, ...Object.values(phasesMs));
  const { detectedAtMs } = draft.run;
  const observedMs = detectedAtMs === null ? 0 : draft.nowMs - detectedAtMs;
  return Math.max(measuredMs, observedMs) / second;
}

/** True when checks were run and every one held; no check is no proof. */
export function isGreen(facts: ResultFacts): boolean {
  const checks = facts.checks ?? [];
  return checks.length > 0 && checks.every(({ ok }) => ok);
}

/** What a successful rollback says about the host. */
function restored(draft: Draft, facts: ResultFacts): Parameters<typeof concludeRolledBack>[1] {
  const seconds = rollbackSeconds(draft, facts.phasesMs ?? {});
  return { seconds, isGreen: isGreen(facts), isDrained: facts.drained === true };
}

function afterRollback(draft: Draft, result: StepResult): void {
  if (result.outcome === 'succeeded') {
    const told = restored(draft, result.facts);
    note(draft, 'rolled_back', { seconds: told.seconds ?? 0 });
    concludeRolledBack(draft, told);
    return;
  }
  note(draft, 'rollback_failed', said(result));
  move(draft, 'rollback_failed');
}

const rules = {
  preflight: (draft: Draft, result: StepResult) =>
    result.outcome === 'succeeded' ? proceed(draft, 'guard') : failEarly(draft, result, 'preflight_failed'),
  guard: afterGuard,
  download: afterDownload,
  drain: afterDrain,
  install: afterInstall,
  restart: afterRestart,
  undrain: afterUndrain,
  verify: afterVerify,
  commit: afterCommit,
  rollback: afterRollback,
};

/** A result that no longer decides the way: what it says about the host is kept all the same. */
function recordLateTruth(draft: Draft, result: StepResult): void {
  const { run } = draft;
  const well = result.outcome === 'succeeded';
  if (result.step === 'rollback' && well && run.state === 'rollback_failed') {
    note(draft, 'late_truth', said(result));
    concludeRolledBack(draft, restored(draft, result.facts));
    return;
  }
  note(draft, 'late_truth', said(result));
  if (well && result.step === 'undrain') patch(draft, { drain: null });
  if (!isTerminal(run.state) || run.state === 'committed' || run.state === 'rolled_back') return;
  if (well && result.step === 'install' && run.outcomes.patch === 'unknown')
    setOutcomes(draft, { patch: 'installed' });
  if (well && result.step === 'commit') setOutcomes(draft, { patch: 'installed', guard: 'kept' });
  if (well && result.step === 'rollback') setOutcomes(draft, { patch: 'reverted', guard: 'used' });
}

/** Takes one signed result into account; the same one a second time changes nothing. */
export function applyResult(draft: Draft, result: StepResult): void {
  const key = `${result.step}:${result.attempt}:${result.outcome}`;
  if (result.fence !== draft.run.fence || draft.run.answered.includes(key)) return;
  const { open, again, attempts } = draft.run;
  // What was never ordered cannot have been answered.
  if (result.attempt > (attempts[result.step] ?? 0)) return;
  patch(draft, { answered: [...draft.run.answered, key] });
  // An earlier try of the same step that did succeed after all is the answer too.
  const isOpen = open !== null && open.step === result.step;
  const isAwaited = again !== null && again.step === result.step;
  const exact = isOpen && open.attempt === result.attempt;
  const decides = exact || ((isOpen || isAwaited) && result.outcome === 'succeeded');
  if (isTerminal(draft.run.state) || !decides) {
    recordLateTruth(draft, result);
    return;
  }
  if (triesAgain(draft, result)) return;
  patch(draft, { again: null });
  rules[result.step](draft, result);
}

/** The host went back by itself: nothing that we planned matters more than that. */
export function applySelfRollback(draft: Draft, event: SelfRollback): void {
  const { run } = draft;
  if (event.fence !== run.fence) return;
  const seconds = rollbackSeconds(draft, event.phasesMs);
  const code = event.by === 'guardian' ? 'silence_reverted' : 'agent_reverted';
  if (run.state === 'rolled_back' || (run.state === 'rollback_failed' && !event.succeeded)) return;
  if (
    ['planned', 'preflight', 'committed', 'cancelled', 'missed', 'failed', 'superseded'].includes(run.state)
  ) {
    if (run.outcomes.patch === 'reverted') return;
    note(draft, 'late_truth', { by: event.by, seconds });
    if (event.succeeded) setOutcomes(draft, { patch: 'reverted', guard: 'used' });
    return;
  }
  note(draft, event.succeeded ? code : 'rollback_failed', { by: event.by, seconds });
  const isUntouched = run.state === 'undraining' && isBeforeChange(run);
  if (isUntouched || ['guarding', 'guarded', 'downloading', 'draining'].includes(run.state)) {
    if (event.succeeded) patch(draft, { drain: event.isDrained === true ? 'stuck' : null });
    move(draft, 'failed');
    if (event.succeeded) setOutcomes(draft, { patch: 'reverted', guard: 'used' });
    return;
  }
  if (event.succeeded) {
    concludeRolledBack(draft, { seconds, isGreen: event.isGreen, isDrained: event.isDrained === true });
    return;
  }
  if (!['rollback_decision', 'rolling_back', 'agent_lost'].includes(run.state))
    move(draft, 'rollback_decision');
  move(draft, 'rollback_failed');
}
