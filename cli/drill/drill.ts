import { setTimeout as sleep } from 'node:timers/promises';
import type { MaintenancePolicyBody } from '#contract/plans.ts';
import type { RunDetail } from '#contract/runs.ts';
import type { Api } from '../api.ts';
import { ApiProblem } from '../api.ts';
import type { CliContext } from '../context.ts';
import { openDemoTenant } from '../demo/firstRun.ts';
import type { DemoTenant } from '../demo/firstRun.ts';
import { RunTeller } from '../demo/run-story.ts';
import { keepPasskey, signRelease } from '../demo/trust.ts';
import { bringDrillHosts, drillHosts, relateDrillHosts, victims } from './drill.hosts.ts';
import type { DrillHost } from './drill.hosts.ts';
import { compareHosts, overBudget } from './drill.judge.ts';
import type { Finding } from './drill.judge.ts';
import { layTraps, Mishaps, takeTrapsAway } from './drill.mishaps.ts';

const drillPolicy: MaintenancePolicyBody = {
  name: 'Exercice',
  description: 'Toutes les mises à jour, point de contrôle obligatoire, redémarrage, site web vérifié.',
  updates: { select: 'all', excludePackages: [] },
  guard: { mode: 'required', minFreeGiB: 0.5, keepHours: 24 },
  restart: 'always',
  health: { checks: [{ kind: 'systemd', unit: 'nginx.service' }], withinS: 60 },
  waves: { firstSize: 12, size: 12, pauseS: 0, failureThresholdPercent: 100 },
  commitConfirm: { confirmWithinS: 600, silentS: 120 },
};

/** The mishaps are made by the hosts, not by the update: it must not go into quarantine and stop the rest. */
const drillQuarantine = { hosts: 1000, percent: 100 } as const;

/** What a drill has shown. */
export interface DrillFacts {
  readonly hosts: Finding[];
  readonly run: string;
  readonly serverKills: number;
  readonly overBudget: string[];
  readonly auditVerified: boolean;
  readonly durationS: number;
  readonly ok: boolean;
}

interface DrillOptions {
  readonly baseUrl: string;
  /** Length of the maintenance window. */
  readonly minutes: number;
}

/** Twelve real machines in three groups that need each other, every mishap at once, and a judgement that asks the machines. */
export async function runDrill(context: CliContext, options: DrillOptions): Promise<DrillFacts> {
  const startedAtMs = Date.now();
  const tenant = await openDemoTenant(context, options.baseUrl);
  const hosts = await bringDrillHosts(context, tenant);
  const { tenantId } = tenant;
  await relateDrillHosts(tenant.person('admin').api, tenantId, hosts);
  await layTraps(hosts);
  const runId = await release(context, { tenant, hosts, ...options });
  const mishaps = new Mishaps(context, hosts);
  const exceeded = new Set<string>();
  const { api } = tenant.person('operateur');
  const detail = await follow(context, { api, tenantId, runId, hosts, mishaps, exceeded });
  await takeTrapsAway(hosts);
  const findings = await compareHosts(detail, hosts);
  const verdict = await tenant.person('auditeur').api.call('verifyAudit', { params: { tenantId } });
  const facts = {
    ...{ hosts: findings, run: detail.run.state, serverKills: mishaps.serverKills },
    ...{ overBudget: [...exceeded], auditVerified: verdict.ok },
    durationS: Math.round((Date.now() - startedAtMs) / 1000),
  };
  const ok = facts.serverKills === 2 && exceeded.size === 0 && verdict.ok;
  return {
    ...facts,
    ok: ok && findings.length === drillHosts.length && findings.every(({ agrees }) => agrees),
  };
}

interface ReleaseWish extends DrillOptions {
  readonly tenant: DemoTenant;
  readonly hosts: ReadonlyMap<string, DrillHost>;
}

async function ensurePolicy(api: Api, tenantId: string): Promise<string> {
  const params = { tenantId };
  const page = await api.call('listMaintenancePolicies', { params, query: { limit: 200 } });
  const there = page.items.find(({ name }) => name === drillPolicy.name);
  return there?.id ?? (await api.call('createMaintenancePolicy', { params, body: drillPolicy })).id;
}

/** Plans all twelve, in a window that begins now, and has two people sign. */
async function release(
  context: CliContext,
  { tenant, hosts, baseUrl, minutes }: ReleaseWish,
): Promise<string> {
  const { tenantId } = tenant;
  const { api } = tenant.person('operateur');
  await api.call('updateQuarantineRule', { params: { tenantId }, body: drillQuarantine });
  const now = Date.now();
  const body = {
    policyId: await ensurePolicy(api, tenantId),
    title: context.text([
      'Exercice : douze machines, toutes les pannes',
      'Drill: twelve machines, every mishap',
    ]),
    hostIds: [...hosts.values()].map(({ id }) => id),
    notBefore: new Date(now).toISOString(),
    notAfter: new Date(now + minutes * 60_000).toISOString(),
  };
  const { plan } = await api.call('createPlan', { params: { tenantId }, body });
  const reason = context.text(['Exercice', 'Drill']);
  const made = await api.call('createRelease', { params: { tenantId, planId: plan.id }, body: { reason } });
  for (const username of ['valideur-1', 'valideur-2']) {
    const passkey = await keepPasskey(context.directories.stateDir, username, baseUrl);
    await signRelease(tenant.person(username), { tenantId, releaseId: made.release.id }, passkey);
  }
  return made.release.runId;
}

interface Following {
  readonly api: Api;
  readonly tenantId: string;
  readonly runId: string;
  readonly hosts: ReadonlyMap<string, DrillHost>;
  readonly mishaps: Mishaps;
  readonly exceeded: Set<string>;
}

const graceMs = 20 * 60_000;

/** Follows the run to its end. The server may be away in between: then the question is asked again. */
async function follow(context: CliContext, following: Following): Promise<RunDetail> {
  const { api, tenantId, runId, hosts, mishaps, exceeded } = following;
  const teller = new RunTeller({ say: context.say });
  let accepted = false;
  let powered = false;
  let endAtMs = Infinity;
  for (;;) {
    const detail = await ask(() => api.call('getRun', { params: { tenantId, runId } }));
    if (detail !== undefined) {
      endAtMs = Date.parse(detail.run.notAfter) + graceMs;
      await teller.tell(detail);
      for (const group of overBudget(detail.hostRuns)) exceeded.add(group);
      await mishaps.look(detail.hostRuns);
      accepted ||= await acceptHost(following, detail);
      const isOver = Date.now() > Date.parse(detail.run.notAfter);
      if (isOver && !powered) {
        powered = true;
        await hosts.get(victims.dying)?.lab.start();
        context.say([
          `  ${victims.dying} retrouve son alimentation`,
          `  ${victims.dying} has its power again`,
        ]);
      }
      if (detail.run.endedAt !== null && powered) return detail;
    }
    if (Date.now() > endAtMs) throw new Error(`the run is not over ${graceMs / 60_000} min after its window`);
    await sleep(1000);
  }
}

/** The person in charge has looked at a host that went back, and says that it is up: its group may go on. */
async function acceptHost({ api, tenantId }: Following, detail: RunDetail): Promise<boolean> {
  const host = detail.hostRuns.find(({ hostname }) => hostname === victims.updateLoop);
  if (host?.state !== 'rolled_back') return false;
  const params = { tenantId, hostRunId: host.id };
  const body = { reason: 'Exercice : le serveur répond' };
  return (await ask(() => api.call('acceptHostRun', { params, body }))) !== undefined;
}

/** An answer, or nothing while the server is away. */
async function ask<T>(question: () => Promise<T>): Promise<T | undefined> {
  try {
    return await question();
  } catch (error) {
    // Fetch says with a TypeError that nobody answers.
    const isAway = error instanceof ApiProblem ? error.problem.status >= 500 : error instanceof TypeError;
    if (!isAway) throw error;
    return undefined;
  }
}
