import type { MaintenancePolicy, MaintenancePolicyBody, PlanHost, PlanPreview } from '#contract/plans.ts';
import type { Order } from '#contract/trust.ts';
import type { DrainArgs } from '#contract/verbs.ts';
import { minFreeBytes } from './plans.policy.ts';

/** The guard goes first: a host that it turns back brings its work back with it. */
const afterConfirmS = 300;

/** One included host in the document whose digest is released. */
export interface PlannedTarget {
  readonly host: string;
  readonly hostname: string;
  readonly agent: string;
  readonly wave: number;
  readonly order: number;
  readonly rollbackTier: number;
  readonly orders: readonly Order[];
}

/** The immutable plan. Its JCS bytes are hashed; that hash is in the release. */
export interface PlanDocument {
  readonly v: 1;
  readonly id: string;
  readonly tenant: string;
  readonly title: string;
  readonly policy: MaintenancePolicyBody;
  readonly notBefore: string;
  readonly notAfter: string;
  /** The window from which the time came, and what it says about its end; absent for a time that somebody gave. */
  readonly window?: {
    readonly id: string;
    readonly name: string;
    readonly startBy: string;
    readonly changeBy: string;
  };
  /** Why it cannot wait for a window; absent when it can. */
  readonly emergency?: { readonly reason: string };
  readonly targets: readonly PlannedTarget[];
}

/** Checks that hold before the update too: what a host that was put back must pass. */
function checksOfRestoredHost(host: PlanHost): PlanHost['checks'] {
  const own = host.checks.filter((check) => check.kind !== 'approved_updates_installed');
  return own.length > 0 ? own : [{ kind: 'command', id: 'dpkg_audit_clean' }];
}

/** Seconds that taking a host's work away may take at most; null when the policy takes nothing away. */
export function drainLimitS({ drain }: Pick<MaintenancePolicyBody, 'drain'>): number | null {
  if (drain === undefined || (drain.units.length === 0 && drain.hookWithinS === undefined)) return null;
  return drain.units.reduce((sum, { withinS }) => sum + withinS, drain.hookWithinS ?? 0);
}

/** What is taken away before the change, and when the host brings it back by itself: once it must have been confirmed. */
function drainArgs(policy: MaintenancePolicyBody): DrainArgs | null {
  const { drain, commitConfirm } = policy;
  const takingS = drainLimitS(policy);
  if (drain === undefined || takingS === null) return null;
  return { ...drain, returnWithinS: takingS + commitConfirm.confirmWithinS + afterConfirmS };
}

/** Everything that one host may be told in this run, in the order in which it may happen. */
export function ordersFor(policy: MaintenancePolicyBody, host: PlanHost): Order[] {
  const free = minFreeBytes(policy, host.downloadBytes);
  const tier = host.rollbackTier === 1 ? 'btrfs' : 'none';
  const { withinS } = policy.health;
  const orders: Order[] = [
    { step: 'preflight', verb: 'host.preflight', args: { minFreeBytes: free } },
    { step: 'guard', verb: 'guard.create', args: { tier, minFreeBytes: free, ...policy.commitConfirm } },
    { step: 'download', verb: 'updates.download', args: { packages: host.packages } },
  ];
  const drain = drainArgs(policy);
  if (drain !== null) orders.push({ step: 'drain', verb: 'host.drain', args: drain });
  orders.push({ step: 'install', verb: 'updates.install', args: { packages: host.packages } });
  if (policy.restart !== 'never') {
    orders.push({
      step: 'restart',
      verb: 'host.restart',
      args: { onlyIfRequired: policy.restart === 'if_required' },
    });
  }
  if (drain !== null) orders.push({ step: 'undrain', verb: 'host.undrain', args: {} });
  orders.push({ step: 'verify', verb: 'health.verify', args: { checks: host.checks, withinS } });
  orders.push({ step: 'commit', verb: 'guard.commit', args: { keepHours: policy.guard.keepHours } });
  if (tier === 'btrfs') {
    orders.push({
      step: 'rollback',
      verb: 'guard.rollback',
      args: { checks: checksOfRestoredHost(host), withinS },
    });
  }
  return orders;
}

function withoutRow(policy: MaintenancePolicy): MaintenancePolicyBody {
  const { id: _id, createdAt: _createdAt, updatedAt: _updatedAt, version: _version, ...body } = policy;
  return body;
}

function windowOf({ timing }: PlanPreview): Pick<PlanDocument, 'window'> {
  const window = timing?.window ?? null;
  if (window === null) return {};
  const { windowId, name, startBy, changeBy } = window;
  return { window: { id: windowId, name, startBy, changeBy } };
}

/** Turns a preview into the document to release. Excluded hosts are not in it. */
export function planDocument(id: string, tenant: string, preview: PlanPreview): PlanDocument {
  const policy = withoutRow(preview.policy);
  const targets = preview.hosts.flatMap((host) =>
    host.included && host.agentId !== null && host.wave !== null && host.order !== null
      ? [
          {
            host: host.hostId,
            hostname: host.hostname,
            agent: host.agentId,
            wave: host.wave,
            order: host.order,
            rollbackTier: host.rollbackTier,
            orders: ordersFor(policy, host),
          },
        ]
      : [],
  );
  return {
    v: 1,
    id,
    tenant,
    title: preview.title,
    policy,
    notBefore: preview.notBefore,
    notAfter: preview.notAfter,
    ...windowOf(preview),
    ...(preview.emergency === undefined ? {} : { emergency: preview.emergency }),
    targets,
  };
}
