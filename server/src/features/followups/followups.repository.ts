import { sql } from 'kysely';
import { reportHours, type EmergencyReport, type Replacement } from '#contract/followups.ts';
import { toInstant } from '../../platform/clock.ts';
import type { SystemTx, TenantTx } from '../../platform/db.ts';

const hourMs = 3_600_000;

export interface ReplacementRow {
  readonly runId: string;
  readonly planId: string;
  readonly state: Replacement['state'];
  readonly hostIds: string[];
}

export interface RunTerms {
  readonly runId: string;
  readonly planId: string;
  readonly state: string;
  readonly notBefore: Date;
  /** The window from which the plan took its time; null when somebody named one. */
  readonly windowId: string | null;
}

/** What was released about a run's time; null when there is no such run. */
export async function termsOf(tx: TenantTx, runId: string): Promise<RunTerms | null> {
  const row = await tx
    .selectFrom('runs as r')
    .innerJoin('plans as p', 'p.id', 'r.plan_id')
    .select(['r.id as runId', 'r.plan_id as planId', 'r.state', 'r.not_before as notBefore'])
    .select(sql<string | null>`p.preview->'timing'->'window'->>'windowId'`.as('windowId'))
    .where('r.id', '=', runId)
    .executeTakeFirst();
  return row ?? null;
}

/** Hosts of a run whose last attempt is in this state. */
export async function hostsIn(tx: TenantTx, runId: string, state: 'missed' | 'planned'): Promise<string[]> {
  const rows = await tx
    .selectFrom('host_runs')
    .select('host_id')
    .where('run_id', '=', runId)
    .where('state', '=', state)
    .where('replaced_by', 'is', null)
    .orderBy('position')
    .execute();
  return rows.map(({ host_id }) => host_id);
}

/** False when the run has one already. */
export async function createReplacement(
  tx: TenantTx,
  one: {
    readonly runId: string;
    readonly planId: string;
    readonly cause: Replacement['cause'];
    readonly policy: Replacement['policy'];
    readonly state: 'pending' | 'asks' | 'skipped';
    readonly hostIds: readonly string[];
  },
): Promise<boolean> {
  const { runId, planId, cause, policy, state, hostIds } = one;
  const made = await tx
    .insertInto('run_replacements')
    .values({ run_id: runId, plan_id: planId, cause, policy, state, host_ids: [...hostIds] })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return made.numInsertedOrUpdatedRows === 1n;
}

/** The row, held still until the transaction ends; null when the run was not missed. */
export async function lockReplacement(tx: TenantTx, runId: string): Promise<ReplacementRow | null> {
  const row = await tx
    .selectFrom('run_replacements')
    .select(['run_id as runId', 'plan_id as planId', 'host_ids as hostIds'])
    .select(sql<Replacement['state']>`state`.as('state'))
    .where('run_id', '=', runId)
    .forUpdate()
    .executeTakeFirst();
  return row ?? null;
}

export async function saveReplacement(
  tx: TenantTx,
  runId: string,
  change: {
    readonly state: Replacement['state'];
    readonly nextPlanId?: string;
    readonly obstacle?: string | null;
    readonly decided?: { readonly by: string; readonly at: Date; readonly reason: string };
  },
): Promise<void> {
  const { state, nextPlanId, obstacle, decided } = change;
  await tx
    .updateTable('run_replacements')
    .set({
      state,
      ...(nextPlanId === undefined ? {} : { next_plan_id: nextPlanId }),
      ...(obstacle === undefined ? {} : { obstacle }),
      ...(decided === undefined
        ? {}
        : { decided_by: decided.by, decided_at: decided.at, reason: decided.reason }),
    })
    .where('run_id', '=', runId)
    .execute();
}

/** Missed runs for which the server plans the next occurrence by itself. */
export function listPending(tx: SystemTx): Promise<{ readonly tenantId: string; readonly runId: string }[]> {
  return tx
    .selectFrom('run_replacements')
    .select(['tenant_id as tenantId', 'run_id as runId'])
    .where('state', '=', 'pending')
    .orderBy('created_at')
    .limit(20)
    .execute();
}

function selectReplacements(tx: TenantTx) {
  return tx
    .selectFrom('run_replacements as x')
    .innerJoin('runs as r', 'r.id', 'x.run_id')
    .leftJoin('people as p', 'p.id', 'x.decided_by')
    .select(['x.run_id as runId', 'r.number as runNumber', 'r.title', 'x.obstacle', 'x.reason'])
    .select(['x.next_plan_id as nextPlanId', 'p.name as decidedByName', 'x.decided_at as decidedAt'])
    .select([
      sql<Replacement['cause']>`x.cause`.as('cause'),
      sql<Replacement['policy']>`x.policy`.as('policy'),
      sql<Replacement['state']>`x.state`.as('state'),
      sql<number>`cardinality(x.host_ids)`.as('hosts'),
    ])
    .orderBy('x.created_at', 'desc')
    .limit(100);
}

type Found = Awaited<ReturnType<ReturnType<typeof selectReplacements>['executeTakeFirstOrThrow']>>;

const replacementView = ({ decidedAt, ...row }: Found): Replacement => ({
  ...row,
  decidedAt: decidedAt === null ? null : toInstant(decidedAt),
});

export async function getReplacement(tx: TenantTx, runId: string): Promise<Replacement | null> {
  const row = await selectReplacements(tx).where('x.run_id', '=', runId).executeTakeFirst();
  return row === undefined ? null : replacementView(row);
}

/** Those that wait for a person, newest first. */
export async function listAsking(tx: TenantTx): Promise<Replacement[]> {
  return (await selectReplacements(tx).where('x.state', '=', 'asks').execute()).map(replacementView);
}

export async function createReport(tx: TenantTx, runId: string, reason: string): Promise<void> {
  await tx.insertInto('emergency_reports').values({ run_id: runId, reason }).execute();
}

function selectReports(tx: TenantTx) {
  return tx
    .selectFrom('emergency_reports as e')
    .innerJoin('runs as r', 'r.id', 'e.run_id')
    .leftJoin('people as p', 'p.id', 'e.written_by')
    .select(['e.run_id as runId', 'r.number as runNumber', 'r.title', 'e.reason', 'e.text'])
    .select(['p.name as writtenByName', 'e.written_at as writtenAt', 'r.ended_at as endedAt'])
    .orderBy('e.created_at', 'desc')
    .limit(100);
}

type Report = Awaited<ReturnType<ReturnType<typeof selectReports>['executeTakeFirstOrThrow']>>;

/** A report is owed from the end of the run on, and overdue a day later. */
function reportView({ endedAt, writtenAt, ...row }: Report, nowMs: number): EmergencyReport {
  const dueMs = endedAt === null ? null : endedAt.getTime() + reportHours * hourMs;
  const open = dueMs === null ? 'not_yet' : nowMs > dueMs ? 'overdue' : 'owed';
  return {
    ...row,
    state: writtenAt === null ? open : 'written',
    dueAt: dueMs === null ? null : toInstant(dueMs),
    writtenAt: writtenAt === null ? null : toInstant(writtenAt),
  };
}

export async function getReport(tx: TenantTx, runId: string, nowMs: number): Promise<EmergencyReport | null> {
  const row = await selectReports(tx).where('e.run_id', '=', runId).executeTakeFirst();
  return row === undefined ? null : reportView(row, nowMs);
}

/** Those that are owed, newest first. */
export async function listOwed(tx: TenantTx, nowMs: number): Promise<EmergencyReport[]> {
  const rows = await selectReports(tx)
    .where('e.text', 'is', null)
    .where('r.ended_at', 'is not', null)
    .execute();
  return rows.map((row) => reportView(row, nowMs));
}

/** False when it was written already. */
export async function writeReport(
  tx: TenantTx,
  runId: string,
  written: { readonly text: string; readonly by: string; readonly at: Date },
): Promise<boolean> {
  const done = await tx
    .updateTable('emergency_reports')
    .set({ text: written.text, written_by: written.by, written_at: written.at })
    .where('run_id', '=', runId)
    .where('text', 'is', null)
    .executeTakeFirst();
  return done.numUpdatedRows === 1n;
}
