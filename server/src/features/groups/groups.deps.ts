import type { LiveEvent } from '#contract/tenants.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Db, TenantTx } from '../../platform/db.ts';
import type { NewId } from '../../platform/ids.ts';

/** What the groups feature needs of the others; main.ts hands it over. */
export interface GroupsDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly newId: NewId;
  readonly emit: (tx: TenantTx, event: Pick<LiveEvent, 'type' | 'subjectId' | 'data'>) => Promise<void>;
}
