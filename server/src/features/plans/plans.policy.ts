import type { Inventory, PendingUpdate } from '#contract/inventory.ts';
import type { MaintenancePolicyBody, OrderRefusal, PlanHost } from '#contract/plans.ts';
import type { HealthCheck, PinnedPackage } from '#contract/verbs.ts';
import { orderHosts, type OrderFacts } from './order.policy.ts';
import { leaveOut, leftOutOf, onlyLeftOut, type Withheld } from './withheld.policy.ts';

/** A host as the planner sees it. */
export interface PlanCandidate {
  readonly hostId: string;
  readonly hostname: string;
  readonly siteName: string;
  readonly tags: readonly string[];
  readonly agentId: string | null;
  readonly agentState: 'connected' | 'silent' | 'never_connected' | 'revoked' | 'clone_suspected';
  readonly inventory: Inventory | null;
  readonly healthChecks: readonly HealthCheck[];
  readonly activeRunId: string | null;
}

/** What hosts have to do with each other, as the groups feature tells it. */
export type HostRelations = Pick<OrderFacts, 'hostnames' | 'groups' | 'dependencies' | 'atlasHostIds'>;

type DecisionCode = PlanHost['decision']['code'];
type Values = PlanHost['decision']['values'];

/** An inventory older than this says too little about what the host needs now. */
export const inventoryFreshMs = 24 * 3600 * 1000;

const gib = 1024 ** 3;
/** Unpacked files, kept old configuration and the package cache: room to ask for beyond the policy's reserve, per downloaded byte. */
const unpackFactor = 4;

/** Chooses the updates that the policy wants. `*` in an exclusion stands for any run of characters. */
export function selectUpdates(
  policy: MaintenancePolicyBody,
  updates: readonly PendingUpdate[],
): PendingUpdate[] {
  const excluded = policy.updates.excludePackages.map(
    (pattern) => new RegExp(`^${pattern.replace(/[.+]/g, '\\$&').replaceAll('*', '.*')}$`),
  );
  return updates.filter(
    (update) =>
      (policy.updates.select === 'all' || update.security) &&
      !excluded.some((pattern) => pattern.test(update.name)),
  );
}

function pin(updates: readonly PendingUpdate[]): PinnedPackage[] {
  return updates.flatMap((update) =>
    update.sha256 === null
      ? []
      : [
          {
            name: update.name,
            arch: update.arch,
            fromVersion: update.fromVersion,
            version: update.version,
            sha256: update.sha256,
          },
        ],
  );
}

/** Host's own checks first, then the policy's, then the proof that the approved versions are there; each once. */
export function checksFor(policy: MaintenancePolicyBody, own: readonly HealthCheck[]): HealthCheck[] {
  const all: HealthCheck[] = [...own, ...policy.health.checks, { kind: 'approved_updates_installed' }];
  const seen = new Set<string>();
  return all.filter((check) => {
    const key = JSON.stringify(check);
    return seen.has(key) ? false : (seen.add(key), true);
  });
}

/** Bytes that must be free on the root before anything is changed. */
export function minFreeBytes(policy: MaintenancePolicyBody, downloadBytes: number): number {
  return Math.round(policy.guard.minFreeGiB * gib) + downloadBytes * unpackFactor;
}

interface Judgement {
  readonly code: DecisionCode;
  readonly values: Values;
}

function judge(policy: MaintenancePolicyBody, host: PlanCandidate, now: number): Judgement | null {
  if (host.agentState === 'revoked' || host.agentState === 'clone_suspected')
    return { code: 'agent_revoked', values: {} };
  if (host.agentId === null || host.agentState !== 'connected')
    return { code: 'agent_not_connected', values: {} };
  if (host.activeRunId !== null) return { code: 'in_other_run', values: { runId: host.activeRunId } };
  const inventory = host.inventory;
  if (inventory === null || now - Date.parse(inventory.collectedAt) > inventoryFreshMs) {
    return { code: 'inventory_stale', values: { collectedAt: inventory?.collectedAt ?? '' } };
  }
  if (inventory.packageManager !== 'apt')
    return { code: 'unsupported_platform', values: { os: inventory.os.name } };
  return judgeUpdates(policy, inventory);
}

function judgeUpdates(policy: MaintenancePolicyBody, inventory: Inventory): Judgement | null {
  const updates = selectUpdates(policy, inventory.updates);
  if (updates.length === 0) return { code: 'nothing_pending', values: {} };
  const undigested = updates.filter((update) => update.sha256 === null);
  if (undigested[0] !== undefined) {
    return { code: 'undigested_updates', values: { count: undigested.length, first: undigested[0].name } };
  }
  if (inventory.guardTier === 'none' && policy.guard.mode === 'required') {
    return { code: 'no_guard', values: { reason: inventory.guardReason } };
  }
  const root = inventory.disks.find((disk) => disk.mount === '/');
  const needed = minFreeBytes(
    policy,
    updates.reduce((sum, update) => sum + update.downloadBytes, 0),
  );
  if (root !== undefined && root.freeBytes < needed) {
    return { code: 'no_space', values: { freeBytes: root.freeBytes, neededBytes: needed } };
  }
  return null;
}

function restartWord(policy: MaintenancePolicyBody): PlanHost['restart'] {
  return policy.restart === 'always' ? 'yes' : policy.restart === 'never' ? 'no' : 'if_required';
}

function planHost(policy: MaintenancePolicyBody, host: PlanCandidate, now: number): PlanHost {
  const refusal = judge(policy, host, now);
  const updates = host.inventory === null ? [] : selectUpdates(policy, host.inventory.updates);
  const guarded = host.inventory?.guardTier === 'btrfs';
  const accepted: Judgement = guarded
    ? { code: 'included', values: {} }
    : { code: 'included_without_guard', values: { reason: host.inventory?.guardReason ?? '' } };
  return {
    hostId: host.hostId,
    hostname: host.hostname,
    siteName: host.siteName,
    agentId: host.agentId,
    included: refusal === null,
    decision: refusal ?? accepted,
    wave: null,
    order: null,
    rollbackTier: guarded ? 1 : 0,
    packages: pin(updates),
    updates,
    downloadBytes: updates.reduce((sum, update) => sum + update.downloadBytes, 0),
    restart: restartWord(policy),
    checks: checksFor(policy, host.healthChecks),
    expectedSeconds: null,
  };
}

/** Plans a host as if updates that must not be installed did not exist, and says which were left out. */
function planWithoutWithheld(
  policy: MaintenancePolicyBody,
  host: PlanCandidate,
  { now, withheld }: PlanContext,
): PlanHost {
  const { inventory } = host;
  const leftOut = leftOutOf(host.hostId, selectUpdates(policy, inventory?.updates ?? []), withheld);
  const [first] = leftOut;
  if (inventory === null || first === undefined) return planHost(policy, host, now);
  const updates = inventory.updates.filter((update) => leaveOut(host.hostId, update, withheld) === null);
  const planned = planHost(policy, { ...host, inventory: { ...inventory, updates } }, now);
  return {
    ...planned,
    ...(planned.decision.code === 'nothing_pending' ? { decision: onlyLeftOut(leftOut, first) } : {}),
    leftOut,
  };
}

/** Canaries first, then by name: the same request always gives the same list. */
function inOrder(candidates: readonly PlanCandidate[]): PlanCandidate[] {
  const rank = (host: PlanCandidate): number => (isCanary(host) ? 0 : 1);
  return [...candidates].sort(
    (a, b) => rank(a) - rank(b) || (a.hostname < b.hostname ? -1 : a.hostname > b.hostname ? 1 : 0),
  );
}

function isCanary(host: PlanCandidate): boolean {
  return host.tags.includes('canary');
}

interface PlanContext {
  readonly now: number;
  readonly relations: HostRelations;
  /** What must not be installed now. */
  readonly withheld?: readonly Withheld[];
}

/** The hosts that change, in their order, then those that are left out; and why no order exists, when none does. */
export interface PlannedHosts {
  readonly hosts: PlanHost[];
  readonly refusals: OrderRefusal[];
}

/**
 * Decides, for each candidate, whether it is in the plan and why, and gives the included ones their order and wave.
 * Pure: the same candidates, policy, relations and instant give the same plan.
 */
export function planHosts(
  policy: MaintenancePolicyBody,
  candidates: readonly PlanCandidate[],
  context: PlanContext,
): PlannedHosts {
  const judged = inOrder(candidates).map((candidate) => ({
    candidate,
    host: planWithoutWithheld(policy, candidate, context),
  }));
  const { placed, refusals } = orderHosts({
    ...context.relations,
    hosts: judged
      .filter(({ host }) => host.included)
      .map(({ candidate }) => ({
        hostId: candidate.hostId,
        hostname: candidate.hostname,
        canary: isCanary(candidate),
      })),
    waves: policy.waves,
  });
  const byId = new Map(judged.map(({ host }) => [host.hostId, host]));
  const included = placed.flatMap(({ hostId, wave, order, reason }): PlanHost[] => {
    const host = byId.get(hostId);
    if (host === undefined) return [];
    byId.delete(hostId);
    return [{ ...host, wave, order, placement: reason }];
  });
  const left = [...byId.values()].map((host) => (host.included ? withoutOrder(host) : host));
  return { hosts: [...included, ...left], refusals: [...refusals] };
}

function withoutOrder(host: PlanHost): PlanHost {
  return { ...host, included: false, decision: { code: 'no_order', values: {} } };
}
