import type { TargetDocument } from '#contract/trust.ts';
import type { HealthArgs, PackagesArgs, PinnedPackage } from '#contract/verbs.ts';
import { runHealthChecks } from '../host/health.ts';
import { fail, probeNatural, succeed } from '../runner/verb.ts';
import type { VerbActions, VerbContext, VerbOutcome } from '../runner/verb.ts';
import type { VerbDeps } from './verbDeps.ts';

/** Packages that people approved for this host. */
export function approvedPackages(target: TargetDocument | null): readonly PinnedPackage[] {
  const order = target?.orders.find((one) => one.step === 'install');
  return order === undefined ? [] : (order.args as PackagesArgs).packages;
}

async function verify(context: VerbContext, deps: VerbDeps): Promise<VerbOutcome> {
  const checks = await runHealthChecks(context.args as HealthArgs, {
    provider: deps.provider,
    approved: approvedPackages(context.target),
    signal: context.signal,
  });
  const red = checks.filter((check) => !check.ok);
  const facts = { checks: checks.map((check) => ({ ...check, detail: check.detail.slice(0, 1000) })) };
  const hostRunId = context.command.hostRunId ?? '';
  if (red.length === 0) {
    await deps.runs.update(hostRunId, {
      verifiedAtMs: Date.now(),
      verifyFailedAtMs: null,
      verifyFailure: null,
    });
    return succeed(facts, 'ok', `${checks.length} checks green`);
  }
  const detail = red.map((check) => `${check.check}: ${check.detail}`).join('; ');
  await deps.runs.update(hostRunId, {
    verifyFailedAtMs: Date.now(),
    verifyFailure: detail.slice(0, 500),
    verifiedAtMs: null,
  });
  return fail('check_failed', detail, facts);
}

export function createVerifyVerb(deps: VerbDeps): VerbActions {
  return { run: (context) => verify(context, deps), probe: probeNatural };
}
