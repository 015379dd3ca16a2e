import type { Order, TargetDocument } from '#contract/trust.ts';
import type {
  DrainArgs,
  GuardCreateArgs,
  HealthArgs,
  HealthCheck,
  PackagesArgs,
  PinnedPackage,
} from '#contract/verbs.ts';

const argsOf = (target: TargetDocument, step: Order['step']): unknown =>
  target.orders.find((order) => order.step === step)?.args;

/** Packages that the signed orders install on a host. */
export function packagesOf(target: TargetDocument): readonly PinnedPackage[] {
  return (argsOf(target, 'install') as PackagesArgs | undefined)?.packages ?? [];
}

/** How the signed orders guard a host, or null when they take no checkpoint. */
export function guardOf(target: TargetDocument): GuardCreateArgs | null {
  return (argsOf(target, 'guard') as GuardCreateArgs | undefined) ?? null;
}

/** What the signed orders take away before the change; undefined when nothing is. */
export function drainOf(target: TargetDocument): DrainArgs | undefined {
  return argsOf(target, 'drain') as DrainArgs | undefined;
}

/** Checks that decide about commit or rollback. */
export function checksOf(target: TargetDocument): readonly HealthCheck[] {
  return (argsOf(target, 'verify') as HealthArgs | undefined)?.checks ?? [];
}

export function restartOf(target: TargetDocument): 'yes' | 'if_required' | 'no' {
  const args = argsOf(target, 'restart') as { onlyIfRequired: boolean } | undefined;
  if (args === undefined) return 'no';
  return args.onlyIfRequired ? 'if_required' : 'yes';
}
