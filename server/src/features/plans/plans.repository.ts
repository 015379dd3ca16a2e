import type { PlanPreview } from '#contract/plans.ts';
import type { TenantTx } from '../../platform/db.ts';
import type { IdPage } from '../../platform/page.ts';

/** A plan as it is stored; it never changes. */
export interface PlanRow {
  readonly id: string;
  readonly title: string;
  readonly policyName: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly documentSha256: string;
  readonly counts: PlanPreview['counts'];
  readonly createdBy: string;
  readonly createdByName: string | null;
  readonly createdAt: Date;
  /** The newest release of this plan, when one was asked for. */
  readonly releaseId: string | null;
  readonly releaseState: string | null;
  readonly runId: string | null;
}

export interface NewPlan {
  readonly id: string;
  readonly title: string;
  readonly policyId: string;
  readonly policyName: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly document: Buffer;
  readonly documentSha256: string;
  readonly preview: PlanPreview;
  readonly createdBy: string;
}

export async function createPlan(tx: TenantTx, plan: NewPlan): Promise<void> {
  await tx
    .insertInto('plans')
    .values({
      id: plan.id,
      title: plan.title,
      policy_id: plan.policyId,
      policy_name: plan.policyName,
      not_before: plan.notBefore,
      not_after: plan.notAfter,
      document: plan.document,
      document_sha256: plan.documentSha256,
      preview: JSON.stringify(plan.preview),
      counts: JSON.stringify(plan.preview.counts),
      created_by: plan.createdBy,
    })
    .execute();
}

function selectPlans(tx: TenantTx) {
  return tx
    .selectFrom('plans as p')
    .leftJoin('people as c', 'c.id', 'p.created_by')
    .leftJoinLateral(
      (eb) =>
        eb
          .selectFrom('releases as r')
          .select(['r.id as release_id', 'r.state as release_state', 'r.run_id as run_id'])
          .whereRef('r.plan_id', '=', 'p.id')
          .orderBy('r.id', 'desc')
          .limit(1)
          .as('latest'),
      (join) => join.onTrue(),
    )
    .select([
      'p.id as id',
      'p.title as title',
      'p.policy_name as policyName',
      'p.not_before as notBefore',
      'p.not_after as notAfter',
      'p.document_sha256 as documentSha256',
      'p.counts as counts',
      'p.created_by as createdBy',
      'c.name as createdByName',
      'p.created_at as createdAt',
      'latest.release_id as releaseId',
      'latest.release_state as releaseState',
      'latest.run_id as runId',
    ]);
}

/** Newest first; one row more than `limit` when there is another page. */
export async function listPlans(tx: TenantTx, page: IdPage): Promise<PlanRow[]> {
  let query = selectPlans(tx);
  if (page.before !== null) query = query.where('p.id', '<', page.before);
  return (await query
    .orderBy('p.id', 'desc')
    .limit(page.limit + 1)
    .execute()) as unknown as PlanRow[];
}

export async function getPlan(
  tx: TenantTx,
  planId: string,
): Promise<(PlanRow & { readonly preview: PlanPreview; readonly document: Buffer }) | null> {
  const row = await selectPlans(tx)
    .select(['p.preview as preview', 'p.document as document'])
    .where('p.id', '=', planId)
    .executeTakeFirst();
  return (row as unknown as (PlanRow & { preview: PlanPreview; document: Buffer }) | undefined) ?? null;
}

export async function countPlans(tx: TenantTx): Promise<number> {
  const row = await tx
    .selectFrom('plans')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return Number(row.count);
}
