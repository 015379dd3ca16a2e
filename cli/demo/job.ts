import type { MaintenancePolicyBody, PlanDetail } from '#contract/plans.ts';
import type { RunDetail } from '#contract/runs.ts';
import type { Api } from '../api.ts';
import { ApiProblem } from '../api.ts';
import { until } from './demo-client.ts';

/** Two waves of three, a checkpoint on every host, a restart, and a web server that has to answer. */
export const demoPolicy: MaintenancePolicyBody = {
  name: 'Mise à jour mensuelle',
  description: 'Toutes les mises à jour, point de contrôle obligatoire, redémarrage, site web vérifié.',
  updates: { select: 'all', excludePackages: [] },
  guard: { mode: 'required', minFreeGiB: 0.5, keepHours: 24 },
  restart: 'always',
  health: {
    checks: [
      { kind: 'systemd', unit: 'nginx.service' },
      { kind: 'http', url: 'http://127.0.0.1/', status: 200 },
    ],
    withinS: 30,
  },
  waves: { firstSize: 3, size: 3, pauseS: 3, failureThresholdPercent: 67 },
  commitConfirm: { confirmWithinS: 1800, silentS: 30 },
};

/** The demo's maintenance policy, made when it is absent. */
export async function ensurePolicy(api: Api, tenantId: string): Promise<string> {
  try {
    return (await api.call('createMaintenancePolicy', { params: { tenantId }, body: demoPolicy })).id;
  } catch (error) {
    if (!(error instanceof ApiProblem) || error.problem.code !== 'already_exists') throw error;
    const page = await api.call('listMaintenancePolicies', { params: { tenantId }, query: { limit: 200 } });
    const there = page.items.find((policy) => policy.name === demoPolicy.name);
    if (there === undefined) throw error;
    return there.id;
  }
}

/** Plans an update of these hosts now, in a window of three hours. */
export async function makePlan(
  api: Api,
  tenantId: string,
  wish: { readonly title: string; readonly policyId: string; readonly hostIds: string[] },
): Promise<PlanDetail> {
  const now = Date.now();
  const body = {
    ...wish,
    notBefore: new Date(now).toISOString(),
    notAfter: new Date(now + 3 * 3600_000).toISOString(),
  };
  return api.call('createPlan', { params: { tenantId }, body });
}

/** The longest measured time from the detection of a fault to green checks, seconds; null when nothing was rolled back. */
export function rollbackSecondsMax(detail: RunDetail): number | null {
  const all = detail.hostRuns.flatMap((host) =>
    host.rollbackSeconds === null ? [] : [host.rollbackSeconds],
  );
  return all.length === 0 ? null : Math.max(...all);
}

/** Waits until the report entry of an ended run is sealed. */
export async function waitForReport(api: Api, tenantId: string, runId: string): Promise<RunDetail> {
  return until('the report of the run', 60_000, async () => {
    const detail = await api.call('getRun', { params: { tenantId, runId } });
    return detail.report?.auditIndex == null ? undefined : detail;
  });
}

/** One host that went back: its name and how long after the fault each phase was reached, milliseconds. */
export interface MeasuredRollback {
  readonly hostname: string;
  readonly phasesMs: Readonly<Record<string, number>>;
}

/** What the hosts measured of their rollbacks, as their signed results say. */
export async function measuredRollbacks(
  api: Api,
  tenantId: string,
  detail: RunDetail,
): Promise<MeasuredRollback[]> {
  const measured: MeasuredRollback[] = [];
  for (const { id, hostname, state } of detail.hostRuns) {
    if (state !== 'rolled_back') continue;
    const { steps } = await api.call('getHostRun', { params: { tenantId, hostRunId: id } });
    const phasesMs = steps.findLast(({ step, facts }) => step === 'rollback' && facts !== null)?.facts
      ?.phasesMs;
    if (phasesMs !== undefined) measured.push({ hostname, phasesMs });
  }
  return measured;
}
