import type { LiveEvent } from '#contract/tenants.ts';
import type { AuditAction } from '#contract/audit.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db, TenantTx } from '../../platform/db.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Logger } from '../../platform/log.ts';
import type { Mailer } from '../../platform/mailer.ts';

/** What the notices feature needs of the others; main.ts hands it over. */
export interface NoticesDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly log: Logger;
  /** Null: the server has no mail relay, and nobody is told. */
  readonly mailer: Mailer | null;
  readonly emit: (tx: TenantTx, event: Pick<LiveEvent, 'type' | 'subjectId' | 'data'>) => Promise<void>;
}

/** A run as people released it. */
export interface AnnouncedRun {
  readonly planId: string;
  readonly runId: string;
  readonly title: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly hostIds: readonly string[];
  /** Why it is an emergency; null when it is none. */
  readonly emergency: string | null;
}

/** An entry about a run's notice: identifiers and counts, no address. */
export async function recordOf(
  deps: Pick<NoticesDeps, 'audit' | 'emit'>,
  tx: TenantTx,
  entry: {
    readonly action: AuditAction;
    readonly outcome: 'ok' | 'failed';
    readonly notice: { readonly id: string; readonly runId: string; readonly planId: string };
    readonly details: Record<string, unknown>;
  },
): Promise<void> {
  const { id, runId, planId } = entry.notice;
  await deps.audit.record(tx, {
    action: entry.action,
    actorKind: 'system',
    actorId: null,
    subjectType: 'run',
    subjectId: runId,
    outcome: entry.outcome,
    digest: null,
    details: { noticeId: id, ...entry.details },
  });
  await deps.emit(tx, { type: 'notice.changed', subjectId: id, data: { planId, runId } });
}
