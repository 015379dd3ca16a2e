import type { Order, OrderStep } from '#contract/trust.ts';
import type { StepRecord } from './agentView.ts';
import { refuse } from './refusal.ts';
import type { Refusal } from './refusal.ts';

interface HostRun {
  readonly orders: readonly Order[];
  readonly history: readonly StepRecord[];
}

function isOrdered(run: HostRun, step: OrderStep): boolean {
  return run.orders.some((order) => order.step === step);
}

function wasBegun(run: HostRun, step: OrderStep): boolean {
  return run.history.some((record) => record.step === step);
}

function hasSucceeded(run: HostRun, step: OrderStep): boolean {
  return run.history.some((record) => record.step === step && record.state === 'succeeded');
}

/** The tier that people signed; without a guard order nothing was said, and nothing said is not "none". */
function signedTier(run: HostRun): unknown {
  return run.orders.find((order) => order.step === 'guard')?.args['tier'];
}

/** A prerequisite counts only when people ordered it. */
function missingBefore(run: HostRun, ...steps: OrderStep[]): Refusal | null {
  const missing = steps.find((step) => isOrdered(run, step) && !hasSucceeded(run, step));
  return missing ? refuse('step_out_of_order', `${missing} has not succeeded in this host run`) : null;
}

/** What people want taken away before the change is away now: after the last drain nothing was brought back. */
function isDrained(run: HostRun): boolean {
  const last = run.history.findLastIndex(({ step }) => step === 'drain' || step === 'undrain');
  return run.history[last]?.step === 'drain' && run.history[last].state === 'succeeded';
}

function checkDrain(run: HostRun): Refusal | null {
  if (wasBegun(run, 'install'))
    return refuse('step_out_of_order', 'after the change began there is nothing to drain for');
  return missingBefore(run, 'preflight', 'guard', 'download');
}

function checkInstall(run: HostRun): Refusal | null {
  const tier = signedTier(run);
  if (tier === undefined) return refuse('guard_missing', 'no guard was ordered, not even the tier none');
  if (!hasSucceeded(run, 'guard'))
    return refuse('guard_missing', 'my journal has no guard for this host run');
  if (isOrdered(run, 'drain') && !isDrained(run))
    return refuse('step_out_of_order', 'the host is not drained');
  return missingBefore(run, 'preflight', 'download');
}

/** The verdict must be younger than the last change it judges. */
function checkCommit(run: HostRun): Refusal | null {
  const lastVerify = run.history.findLastIndex((record) => record.step === 'verify');
  const lastChange = run.history.findLastIndex(
    (record) => record.step === 'install' || record.step === 'restart',
  );
  if (isDrained(run)) return refuse('step_out_of_order', 'the host is still drained');
  const isGreen = run.history[lastVerify]?.state === 'succeeded';
  if (isGreen && lastVerify > lastChange) return null;
  return refuse('step_out_of_order', 'the last change was not verified');
}

function checkRollback(run: HostRun): Refusal | null {
  if (signedTier(run) !== 'btrfs' || !hasSucceeded(run, 'guard'))
    return refuse('guard_missing', 'my journal has no snapshot for this host run');
  return hasSucceeded(run, 'commit') ? refuse('step_out_of_order', 'the host run is committed') : null;
}

const rules: Record<OrderStep, (run: HostRun) => Refusal | null> = {
  preflight: () => null,
  guard: (run) =>
    wasBegun(run, 'install')
      ? refuse('step_out_of_order', 'a snapshot after the change would guard nothing')
      : missingBefore(run, 'preflight'),
  download: (run) => missingBefore(run, 'preflight'),
  drain: checkDrain,
  install: checkInstall,
  restart: (run) => missingBefore(run, 'preflight', 'install'),
  undrain: (run) =>
    wasBegun(run, 'drain') ? null : refuse('step_out_of_order', 'nothing was taken away in this host run'),
  verify: (run) => missingBefore(run, 'install'),
  commit: checkCommit,
  rollback: checkRollback,
};

/** After the end of a host run only another host run may go on. */
const stepsAfterEnd: Partial<Record<OrderStep, readonly OrderStep[]>> = {
  rollback: ['rollback', 'verify', 'undrain'],
  commit: ['commit', 'verify', 'undrain'],
};

/** Judges one step by what this agent's own journal says about the host run, never by what the server says. */
export function checkStepOrder(step: OrderStep, run: HostRun): Refusal | null {
  if (wasBegun(run, 'rollback') && !stepsAfterEnd.rollback?.includes(step))
    return refuse('step_out_of_order', 'the host run was rolled back');
  if (hasSucceeded(run, 'commit') && !stepsAfterEnd.commit?.includes(step) && step !== 'rollback')
    return refuse('step_out_of_order', 'the host run is committed');
  return rules[step](run);
}
