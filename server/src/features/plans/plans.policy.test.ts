import fc from 'fast-check';
import { Value } from 'typebox/value';
import { describe, expect, it } from 'vitest';
import { verbCatalogue, type Verb } from '#contract/verbs.ts';
import type { Inventory, PendingUpdate } from '#contract/inventory.ts';
import type { MaintenancePolicyBody } from '#contract/plans.ts';
import { ordersFor } from './plan-document.policy.ts';
import { checksFor, planHosts, selectUpdates } from './plans.policy.ts';
import type { PlanCandidate } from './plans.policy.ts';

const now = Date.parse('2026-11-21T20:00:00.000Z');

const policy: MaintenancePolicyBody = {
  name: 'Mensuelle',
  updates: { select: 'all', excludePackages: [] },
  guard: { mode: 'required', minFreeGiB: 1, keepHours: 24 },
  restart: 'always',
  health: { checks: [{ kind: 'systemd', unit: 'nginx.service' }], withinS: 60 },
  waves: { firstSize: 2, size: 3, pauseS: 5, failureThresholdPercent: 50 },
  commitConfirm: { confirmWithinS: 600, silentS: 60 },
};

function update(name: string, over: Partial<PendingUpdate> = {}): PendingUpdate {
  return {
    name,
    arch: 'amd64',
    fromVersion: '1.0-1',
    version: '1.0-2',
    origin: 'Debian:12/stable',
    security: false,
    downloadBytes: 1000,
    sha256: 'a'.repeat(64),
    ...over,
  };
}

function inventory(over: Partial<Inventory> = {}): Inventory {
  return {
    collectedAt: '2026-11-21T19:59:00.000Z',
    hostname: 'web-1',
    os: {
      family: 'debian',
      id: 'debian',
      name: 'Debian GNU/Linux 12',
      version: '12',
      kernel: '6.1',
      arch: 'amd64',
    },
    hardware: { vendor: null, model: null, virtual: null, cpu: null, cores: 2, memoryBytes: 1 },
    disks: [{ mount: '/', fs: 'btrfs', sizeBytes: 20 * 1024 ** 3, freeBytes: 10 * 1024 ** 3 }],
    addresses: [],
    bootId: 'b',
    bootedAt: '2026-11-21T10:00:00.000Z',
    packageManager: 'apt',
    guardTier: 'btrfs',
    guardReason: 'root is a btrfs subvolume',
    restartRequired: false,
    restartReasons: [],
    failedUnits: [],
    services: [],
    updates: [update('openssl', { security: true })],
    updatesError: null,
    ...over,
  };
}

function candidate(hostname: string, over: Partial<PlanCandidate> = {}): PlanCandidate {
  return {
    hostId: `host-${hostname}`,
    hostname,
    siteName: 'Paris',
    tags: [],
    agentId: `agent-${hostname}`,
    agentState: 'connected',
    inventory: inventory(),
    healthChecks: [],
    activeRunId: null,
    ...over,
  };
}

const alone = { hostnames: new Map(), groups: [], dependencies: [], atlasHostIds: [] };
const plan = (body: MaintenancePolicyBody, hosts: PlanCandidate[]) =>
  planHosts(body, hosts, { now, relations: alone }).hosts;

describe('planning of hosts', () => {
  it('leaves out, with the reason, every host that cannot be changed safely', () => {
    const cases: [string, Partial<PlanCandidate>][] = [
      ['agent_not_connected', { agentState: 'silent' }],
      ['agent_revoked', { agentState: 'revoked' }],
      ['agent_revoked', { agentState: 'clone_suspected' }],
      ['in_other_run', { activeRunId: 'run' }],
      ['inventory_stale', { inventory: null }],
      ['inventory_stale', { inventory: inventory({ collectedAt: '2026-11-19T00:00:00.000Z' }) }],
      ['nothing_pending', { inventory: inventory({ updates: [] }) }],
      ['undigested_updates', { inventory: inventory({ updates: [update('x', { sha256: null })] }) }],
      ['no_guard', { inventory: inventory({ guardTier: 'none' }) }],
      [
        'no_space',
        { inventory: inventory({ disks: [{ mount: '/', fs: 'btrfs', sizeBytes: 1, freeBytes: 1 }] }) },
      ],
      ['unsupported_platform', { inventory: inventory({ packageManager: null }) }],
    ];
    for (const [code, over] of cases) {
      const [host] = plan(policy, [candidate('web-1', over)]);
      expect(host?.included, code).toBe(false);
      expect(host?.decision.code).toBe(code);
      expect(host?.wave).toBeNull();
    }
  });

  it('takes a host without a guard only when the policy allows it, and says so', () => {
    const bare = candidate('web-1', {
      inventory: inventory({ guardTier: 'none', guardReason: 'root is ext4' }),
    });
    const [host] = plan({ ...policy, guard: { ...policy.guard, mode: 'best_effort' } }, [bare]);
    expect(host?.included).toBe(true);
    expect(host?.rollbackTier).toBe(0);
    expect(host?.decision).toEqual({ code: 'included_without_guard', values: { reason: 'root is ext4' } });
    expect(ordersFor(policy, host!).some((order) => order.step === 'rollback')).toBe(false);
  });

  it('puts canaries first and fills the first wave, then the others', () => {
    const hosts = plan(
      policy,
      ['e', 'd', 'c', 'b', 'a'].map((name) => candidate(name, name === 'd' ? { tags: ['canary'] } : {})),
    );
    expect(hosts.map((host) => [host.hostname, host.wave])).toEqual([
      ['d', 1],
      ['a', 1],
      ['b', 2],
      ['c', 2],
      ['e', 2],
    ]);
  });

  it('selects security updates only when asked, and honours exclusions with wildcards', () => {
    const updates = [update('openssl', { security: true }), update('linux-image-6.1'), update('g++-12')];
    expect(
      selectUpdates({ ...policy, updates: { select: 'security', excludePackages: [] } }, updates),
    ).toHaveLength(1);
    const names = selectUpdates(
      { ...policy, updates: { select: 'all', excludePackages: ['linux-*', 'g++-12'] } },
      updates,
    ).map((u) => u.name);
    expect(names).toEqual(['openssl']);
  });

  it('keeps each check once and always ends with the proof that the approved versions are there', () => {
    const checks = checksFor(policy, [
      { kind: 'systemd', unit: 'nginx.service' },
      { kind: 'tcp', port: 80 },
    ]);
    expect(checks).toEqual([
      { kind: 'systemd', unit: 'nginx.service' },
      { kind: 'tcp', port: 80 },
      { kind: 'approved_updates_installed' },
    ]);
  });

  it('orders preflight, guard, download, install, restart, verify and commit, and carries the rollback with it', () => {
    const [host] = plan(policy, [candidate('web-1')]);
    expect(ordersFor(policy, host!).map((order) => order.step)).toEqual([
      'preflight',
      'guard',
      'download',
      'install',
      'restart',
      'verify',
      'commit',
      'rollback',
    ]);
    expect(ordersFor({ ...policy, restart: 'never' }, host!).map((order) => order.step)).not.toContain(
      'restart',
    );
  });

  it('takes work away after the download and brings it back before the checks, when the policy says so', () => {
    const drain = { hookWithinS: 40, units: [{ unit: 'nginx.service', withinS: 20 }] };
    const [host] = plan(policy, [candidate('web-1')]);
    const orders = ordersFor({ ...policy, drain }, host!);
    expect(orders.map(({ step }) => step).slice(2, 7)).toEqual([
      ...['download', 'drain', 'install', 'restart', 'undrain'],
    ]);
    const returnWithinS = 60 + policy.commitConfirm.confirmWithinS + 300;
    expect(orders.find(({ step }) => step === 'drain')?.args).toEqual({ ...drain, returnWithinS });
    for (const order of orders)
      expect(Value.Check(verbCatalogue[order.verb as Verb].args, order.args)).toBe(true);
    expect(ordersFor({ ...policy, drain: { units: [] } }, host!)).toEqual(ordersFor(policy, host!));
  });

  it('orders only the hosts that change, and says of those without an order that they have none', () => {
    const relations = {
      ...alone,
      groups: [
        {
          name: 'duo',
          hostIds: ['host-a', 'host-b'],
          budget: { kind: 'max_unavailable' as const, hosts: 1 },
          ordered: false,
        },
      ],
      dependencies: [
        { dependentId: 'host-c', providerId: 'host-d', kind: 'service_after_provider' as const },
        { dependentId: 'host-d', providerId: 'host-c', kind: 'service_after_provider' as const },
      ],
    };
    const calm = candidate('x', { inventory: inventory({ updates: [] }) });
    const hosts = [...['d', 'c', 'b', 'a'].map((name) => candidate(name)), calm];
    const planned = planHosts(policy, hosts, { now, relations });
    expect(
      planned.hosts.map((host) => [host.hostname, host.wave, host.placement?.code ?? host.decision.code]),
    ).toEqual([
      ['a', 1, 'first_free_place'],
      ['b', 2, 'group_budget'],
      ['c', null, 'no_order'],
      ['d', null, 'no_order'],
      ['x', null, 'nothing_pending'],
    ]);
    expect(planned.refusals.map(({ code, values }) => [code, values.path])).toEqual([
      ['dependency_cycle', 'c → d → c'],
    ]);
  });

  it('gives the same plan whatever the order in which the hosts came', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'), { minLength: 1 }),
        (names) => {
          const forwards = plan(
            policy,
            names.map((name) => candidate(name)),
          );
          const backwards = plan(
            policy,
            [...names].reverse().map((name) => candidate(name)),
          );
          expect(backwards).toEqual(forwards);
        },
      ),
    );
  });
});
