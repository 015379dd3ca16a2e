import { sql } from 'kysely';
import type { Decision, HostRunState, RunState } from '#contract/runs.ts';
import type { TenantTx } from '../../platform/db.ts';
import { found } from '../../platform/errors.ts';
import { deadlineOf } from './host-run.clocks.ts';
import type { HostRun } from './host-run.model.ts';
import type { WaveMember } from './wave.policy.ts';

export interface PackageChange {
  readonly name: string;
  readonly from: string | null;
  readonly to: string;
}

export interface RunReport {
  readonly auditEntryId: string;
  readonly rollbackSecondsMax: number | null;
  readonly updatesInstalled: number;
  readonly durationS: number;
}

export interface RunRow {
  readonly id: string;
  readonly tenantId: string;
  readonly number: number;
  readonly planId: string;
  readonly releaseId: string;
  readonly approvedEntryId: string;
  readonly sealedAt: Date | null;
  readonly title: string;
  readonly state: RunState;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** No host starts after this. */
  readonly startBy: Date;
  /** No installation and no restart begins after this. */
  readonly changeBy: Date;
  readonly pauseS: number;
  readonly failureThresholdPercent: number;
  readonly acceptedWave: number;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
  readonly deadlineAt: Date | null;
  readonly lastDecision: Decision | null;
  readonly report: RunReport | null;
  readonly version: number;
}

export interface HostRunRow {
  readonly id: string;
  readonly tenantId: string;
  readonly runId: string;
  readonly hostId: string;
  readonly agentId: string;
  readonly hostname: string;
  readonly wave: number;
  readonly position: number;
  readonly run: HostRun;
  readonly openCommandId: string | null;
  readonly resultsApplied: number;
  readonly packages: readonly PackageChange[];
  readonly phase: string | null;
  readonly percent: number | null;
  readonly lastHeardAt: Date | null;
  readonly deadlineAt: Date | null;
  readonly lastDecision: Decision | null;
  readonly logLines: number;
  readonly replacedBy: string | null;
  readonly acceptedAt: Date | null;
  readonly version: number;
}

export type NewRun = Pick<
  RunRow,
  | 'id'
  | 'planId'
  | 'releaseId'
  | 'approvedEntryId'
  | 'title'
  | 'notBefore'
  | 'notAfter'
  | 'startBy'
  | 'changeBy'
  | 'pauseS'
  | 'failureThresholdPercent'
>;
export type NewHostRun = Pick<
  HostRunRow,
  'id' | 'runId' | 'hostId' | 'agentId' | 'hostname' | 'wave' | 'position' | 'run' | 'packages'
>;

function date(atMs: number | null): Date | null {
  return atMs === null ? null : new Date(atMs);
}

export async function createRun(tx: TenantTx, run: NewRun): Promise<void> {
  const { last_number } = await tx
    .insertInto('run_numbers')
    .values({ last_number: 1 })
    .onConflict((conflict) =>
      conflict.column('tenant_id').doUpdateSet({ last_number: sql<number>`run_numbers.last_number + 1` }),
    )
    .returning('last_number')
    .executeTakeFirstOrThrow();
  await tx
    .insertInto('runs')
    .values({
      id: run.id,
      number: last_number,
      plan_id: run.planId,
      release_id: run.releaseId,
      approved_entry_id: run.approvedEntryId,
      title: run.title,
      not_before: run.notBefore,
      not_after: run.notAfter,
      start_by: run.startBy,
      change_by: run.changeBy,
      pause_s: run.pauseS,
      failure_threshold_percent: run.failureThresholdPercent,
      deadline_at: sql<Date>`now()`,
    })
    .execute();
}

/** Columns that repeat what the rules' memory says, for people and queries. */
function projection(run: HostRun) {
  return {
    state: run.state,
    state_since: new Date(run.sinceMs),
    lost_in: run.lostIn,
    fence: run.fence,
    outcomes: JSON.stringify(run.outcomes),
    memory: JSON.stringify(run),
    deadline_at: date(deadlineOf(run)),
    started_at: date(run.startedAtMs),
    ended_at: date(run.endedAtMs),
    rollback_seconds: run.rollbackSeconds,
  };
}

export async function createHostRuns(tx: TenantTx, hostRuns: readonly NewHostRun[]): Promise<void> {
  for (let start = 0; start < hostRuns.length; start += 500) {
    await tx
      .insertInto('host_runs')
      .values(
        hostRuns.slice(start, start + 500).map((one) => ({
          id: one.id,
          run_id: one.runId,
          host_id: one.hostId,
          agent_id: one.agentId,
          hostname: one.hostname,
          wave: one.wave,
          position: one.position,
          rollback_tier: one.run.terms.rollbackTier,
          packages: JSON.stringify(one.packages),
          ...projection(one.run),
        })),
      )
      .execute();
  }
}

export function selectRuns(tx: TenantTx) {
  return tx
    .selectFrom('runs')
    .select([
      'id',
      'tenant_id as tenantId',
      'number',
      'plan_id as planId',
      'release_id as releaseId',
      'approved_entry_id as approvedEntryId',
      'sealed_at as sealedAt',
      'title',
      sql<RunState>`state`.as('state'),
      'not_before as notBefore',
      'not_after as notAfter',
      'start_by as startBy',
      'change_by as changeBy',
      'pause_s as pauseS',
      'failure_threshold_percent as failureThresholdPercent',
      'accepted_wave as acceptedWave',
      'started_at as startedAt',
      'ended_at as endedAt',
      'deadline_at as deadlineAt',
      sql<Decision | null>`last_decision`.as('lastDecision'),
      sql<RunReport | null>`report`.as('report'),
      'version',
    ]);
}

export async function getRun(tx: TenantTx, runId: string): Promise<RunRow> {
  return found(await selectRuns(tx).where('id', '=', runId).executeTakeFirst());
}

/** As `getRun`, and nobody else moves the run until this transaction ends: what a person asks for is not overtaken. */
export async function lockRun(tx: TenantTx, runId: string): Promise<RunRow> {
  return found(await selectRuns(tx).where('id', '=', runId).forUpdate().executeTakeFirst());
}

export function selectHostRuns(tx: TenantTx) {
  return tx
    .selectFrom('host_runs')
    .select([
      'id',
      'tenant_id as tenantId',
      'run_id as runId',
      'host_id as hostId',
      'agent_id as agentId',
      'hostname',
      'wave',
      'position',
      sql<HostRun>`memory`.as('run'),
      'open_command_id as openCommandId',
      'results_applied as resultsApplied',
      sql<PackageChange[]>`packages`.as('packages'),
      'phase',
      'percent',
      'last_heard_at as lastHeardAt',
      'deadline_at as deadlineAt',
      sql<Decision | null>`last_decision`.as('lastDecision'),
      'log_lines as logLines',
      'replaced_by as replacedBy',
      'accepted_at as acceptedAt',
      'version',
    ]);
}

export async function getHostRun(tx: TenantTx, hostRunId: string): Promise<HostRunRow> {
  return found(await selectHostRuns(tx).where('id', '=', hostRunId).executeTakeFirst());
}

/** The attempt that counts of each host, in the order of the plan. */
export async function membersOf(tx: TenantTx, runId: string): Promise<WaveMember[]> {
  const rows = await tx
    .selectFrom('host_runs')
    .select([
      'id',
      'wave',
      sql<HostRunState>`state`.as('state'),
      'ended_at',
      sql<boolean>`coalesce(jsonb_typeof(memory->'held') = 'object', false)`.as('held'),
    ])
    .where('run_id', '=', runId)
    .where('replaced_by', 'is', null)
    .orderBy('wave')
    .orderBy('position')
    .execute();
  return rows.map(({ id, wave, state, ended_at, held }) => ({
    id,
    wave,
    state,
    held,
    endedAtMs: ended_at?.getTime() ?? null,
  }));
}

export interface HostRunChange {
  readonly run: HostRun;
  readonly openCommandId: string | null;
  readonly resultsApplied: number;
  readonly lastDecision: Decision | null;
  readonly newStep: boolean;
}

/** Writes the next state, only over the version and state that were read. False when somebody else was faster. */
export async function saveHostRun(tx: TenantTx, row: HostRunRow, change: HostRunChange): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('host_runs')
    .set({
      ...projection(change.run),
      open_command_id: change.openCommandId,
      results_applied: change.resultsApplied,
      last_heard_at: sql<Date>`greatest(last_heard_at, ${new Date(change.run.lastHeardAtMs)}::timestamptz)`,
      ...(change.lastDecision === null ? {} : { last_decision: JSON.stringify(change.lastDecision) }),
      ...(change.newStep ? { phase: null, percent: null } : {}),
      version: row.version + 1,
    })
    .where('id', '=', row.id)
    .where('state', '=', row.run.state)
    .where('version', '=', row.version)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

export interface RunChange {
  readonly state?: RunState;
  readonly sealedAt?: Date;
  readonly startedAt?: Date;
  readonly endedAt?: Date | null;
  readonly deadlineAt?: Date | null;
  readonly acceptedWave?: number;
  readonly lastDecision?: Decision;
  readonly report?: RunReport | null;
}

/** Writes a change over the version and state that were read. False when somebody else was faster. */
export async function saveRun(tx: TenantTx, row: RunRow, change: RunChange): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('runs')
    .set({
      ...(change.state === undefined ? {} : { state: change.state }),
      ...(change.sealedAt === undefined ? {} : { sealed_at: change.sealedAt }),
      ...(change.startedAt === undefined ? {} : { started_at: change.startedAt }),
      ...(change.endedAt === undefined ? {} : { ended_at: change.endedAt }),
      ...(change.deadlineAt === undefined ? {} : { deadline_at: change.deadlineAt }),
      ...(change.acceptedWave === undefined ? {} : { accepted_wave: change.acceptedWave }),
      ...(change.lastDecision === undefined ? {} : { last_decision: JSON.stringify(change.lastDecision) }),
      ...(change.report === undefined
        ? {}
        : { report: change.report === null ? null : JSON.stringify(change.report) }),
    })
    .where('id', '=', row.id)
    .where('state', '=', row.state)
    .where('version', '=', row.version)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

export interface NewDecision extends Decision {
  readonly id: string;
  readonly runId: string;
  readonly hostRunId: string | null;
}

export async function recordDecisions(tx: TenantTx, decisions: readonly NewDecision[]): Promise<void> {
  if (decisions.length === 0) return;
  await tx
    .insertInto('run_decisions')
    .values(
      decisions.map(({ id, runId, hostRunId, at, code, values }) => ({
        id,
        run_id: runId,
        host_run_id: hostRunId,
        at,
        code,
        values: JSON.stringify(values),
      })),
    )
    .execute();
}

/** Makes room for the next attempt of the same host. */
export async function replaceHostRun(tx: TenantTx, row: HostRunRow, by: string): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('host_runs')
    .set({ replaced_by: by, version: row.version + 1 })
    .where('id', '=', row.id)
    .where('version', '=', row.version)
    .where('replaced_by', 'is', null)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** Counts for the report: hosts by how they ended, updates installed for good, the longest rollback in seconds. */
export async function totalsOf(
  tx: TenantTx,
  runId: string,
): Promise<{
  readonly hosts: number;
  readonly committed: number;
  readonly rolledBack: number;
  readonly failed: number;
  readonly updatesInstalled: number;
  readonly rollbackSecondsMax: number | null;
}> {
  const { rows } = await sql<{
    hosts: number;
    committed: number;
    rolledBack: number;
    failed: number;
    updatesInstalled: number;
    rollbackSecondsMax: number | null;
  }>`
    select
      count(*) as hosts,
      count(*) filter (where state = 'committed') as committed,
      count(*) filter (where state = 'rolled_back') as "rolledBack",
      count(*) filter (where state not in ('committed', 'rolled_back')) as failed,
      coalesce(sum(jsonb_array_length(packages)) filter (where state = 'committed'), 0)::bigint as "updatesInstalled",
      max(rollback_seconds) as "rollbackSecondsMax"
    from host_runs
    where run_id = ${runId} and replaced_by is null
  `.execute(tx);
  return found(rows[0]);
}
