import { sql } from 'kysely';
import { defaultQuarantineRule, type QuarantineRule, type UpdateQuarantine } from '#contract/quarantine.ts';
import { toInstant } from '../../platform/clock.ts';
import type { TenantTx } from '../../platform/db.ts';
import type { IdPage } from '../../platform/page.ts';
import type { Tries } from './quarantine.policy.ts';

export type Evidence = UpdateQuarantine['evidence'];

/** An update as hosts know it. */
export interface UpdateName {
  readonly name: string;
  readonly version: string;
}

/** A host's way through a run that has come to its end. */
export interface EndedTry {
  readonly hostRunId: string;
  readonly hostId: string;
  readonly hostname: string;
  readonly updates: readonly UpdateName[];
}

/** Decisions that say something against the update, with the codes by which it is not the network, the disk or the agent. */
const blaming = ['install_failed', 'check_failed', 'restart_not_proven'] as const;
const blamingCodes = ['package_failed', 'dpkg_interrupted', 'check_failed', 'restart_not_proven'] as const;
const shownFailures = 10;

/** The decision for which a changed host did not end well; null when nothing speaks against what was installed. */
export async function blameOf(tx: TenantTx, hostRunId: string): Promise<string | null> {
  const row = await tx
    .selectFrom('run_decisions')
    .select('code')
    .where('host_run_id', '=', hostRunId)
    .where('code', 'in', blaming)
    .where(sql<string>`"values"->>'code'`, 'in', blamingCodes)
    .orderBy('id')
    .limit(1)
    .executeTakeFirst();
  return row?.code ?? null;
}

/** Writes down what became of each update. The same host run a second time adds nothing. */
export async function recordTries(
  tx: TenantTx,
  { updates, ...ended }: EndedTry,
  failedWith: string | null,
): Promise<void> {
  if (updates.length === 0) return;
  await tx
    .insertInto('update_tries')
    .values(
      updates.map(({ name, version }) => ({
        ...{ name, update_version: version, failed_with: failedWith },
        ...{ host_run_id: ended.hostRunId, host_id: ended.hostId, hostname: ended.hostname },
      })),
    )
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/**
 * Until the transaction ends nobody else of the tenant counts tries: of two hosts that end at the same moment, the second
 * sees the first.
 */
export async function lockTries(tx: TenantTx): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended('quarantine ' || current_setting('atlas.tenant_id'), 0))`.execute(
    tx,
  );
}

/** What is known of these updates, each since its last quarantine was lifted; those in quarantine now are left out. */
export async function triesOf(
  tx: TenantTx,
  updates: readonly UpdateName[],
): Promise<(UpdateName & Tries & Pick<Evidence, 'failures'>)[]> {
  const { rows } = await sql<UpdateName & Tries & Pick<Evidence, 'failures'>>`
    select asked.name, asked.version, tried.tries, tried."failedTries", tried."failedHosts", failed.failures
    from jsonb_to_recordset(${JSON.stringify(updates)}::jsonb) asked (name text, version text)
    left join lateral (
      select q.lifted_at from update_quarantines q
      where q.name = asked.name and q.update_version = asked.version order by q.id desc limit 1) before on true
    cross join lateral (
      select count(*)::int as tries, count(t.failed_with)::int as "failedTries",
        (count(distinct t.host_id) filter (where t.failed_with is not null))::int as "failedHosts"
      from update_tries t
      where t.name = asked.name and t.update_version = asked.version
        and t.tried_at > coalesce(before.lifted_at, '-infinity')) tried
    cross join lateral (
      select coalesce(jsonb_agg(f.failure), '[]') as failures from (
        select jsonb_build_object('hostRunId', t.host_run_id, 'hostId', t.host_id, 'hostname', t.hostname,
          'code', t.failed_with) as failure
        from update_tries t
        where t.name = asked.name and t.update_version = asked.version and t.failed_with is not null
          and t.tried_at > coalesce(before.lifted_at, '-infinity')
        order by t.host_run_id desc limit ${shownFailures}) f) failed
    where not exists (
      select 1 from update_quarantines q
      where q.name = asked.name and q.update_version = asked.version and q.lifted_at is null)
  `.execute(tx);
  return rows;
}

/** False when somebody was faster. */
export async function createQuarantine(
  tx: TenantTx,
  made: UpdateName & { readonly id: string; readonly evidence: Evidence; readonly at: Date },
): Promise<boolean> {
  const { id, name, version, evidence, at } = made;
  const inserted = await tx
    .insertInto('update_quarantines')
    .values({ id, name, update_version: version, evidence: JSON.stringify(evidence), started_at: at })
    .onConflict((conflict) =>
      conflict.columns(['tenant_id', 'name', 'update_version']).where('lifted_at', 'is', null).doNothing(),
    )
    .returning('id')
    .executeTakeFirst();
  return inserted !== undefined;
}

/** Updates that must not be installed now. */
export async function activeQuarantines(tx: TenantTx): Promise<UpdateName[]> {
  const rows = await tx
    .selectFrom('update_quarantines')
    .select(['name', 'update_version as version'])
    .where('lifted_at', 'is', null)
    .orderBy('name')
    .execute();
  return rows;
}

function selectQuarantines(tx: TenantTx) {
  return tx
    .selectFrom('update_quarantines as q')
    .leftJoin('people as p', 'p.id', 'q.lifted_by')
    .select([
      ...(['q.id as id', 'q.name as name', 'q.update_version as version', 'q.evidence as evidence'] as const),
      ...(['q.started_at as startedAt', 'q.lifted_at as liftedAt', 'q.lift_reason as liftReason'] as const),
      'p.name as liftedByName',
    ]);
}

type Row = Awaited<ReturnType<ReturnType<typeof selectQuarantines>['executeTakeFirstOrThrow']>>;

export function toQuarantine({ evidence, startedAt, liftedAt, ...row }: Row): UpdateQuarantine {
  return {
    ...row,
    state: liftedAt === null ? 'active' : 'lifted',
    evidence: evidence as unknown as Evidence,
    startedAt: toInstant(startedAt),
    liftedAt: liftedAt === null ? null : toInstant(liftedAt),
  };
}

/** Newest first; one row more than `limit` when there is another page. */
export function listQuarantines(tx: TenantTx, page: IdPage): Promise<Row[]> {
  let query = selectQuarantines(tx);
  if (page.before !== null) query = query.where('q.id', '<', page.before);
  return query
    .orderBy('q.id', 'desc')
    .limit(page.limit + 1)
    .execute();
}

export async function getQuarantine(tx: TenantTx, id: string): Promise<Row | null> {
  return (await selectQuarantines(tx).where('q.id', '=', id).executeTakeFirst()) ?? null;
}

/** False when it was lifted already. */
export async function liftQuarantine(
  tx: TenantTx,
  id: string,
  lifted: { readonly by: string; readonly reason: string; readonly at: Date },
): Promise<boolean> {
  const row = await tx
    .updateTable('update_quarantines')
    .set({ lifted_at: lifted.at, lifted_by: lifted.by, lift_reason: lifted.reason })
    .where('id', '=', id)
    .where('lifted_at', 'is', null)
    .returning('id')
    .executeTakeFirst();
  return row !== undefined;
}

export async function getRule(tx: TenantTx): Promise<QuarantineRule> {
  const row = await tx.selectFrom('quarantine_rules').select(['hosts', 'percent']).executeTakeFirst();
  return row ?? defaultQuarantineRule;
}

export async function saveRule(tx: TenantTx, rule: QuarantineRule): Promise<void> {
  await tx
    .insertInto('quarantine_rules')
    .values({ ...rule })
    .onConflict((conflict) => conflict.column('tenant_id').doUpdateSet({ ...rule }))
    .execute();
}
