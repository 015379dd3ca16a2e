import type { LiveEvent } from '#contract/tenants.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db, TenantTx } from '../../platform/db.ts';

/** What the trust feature needs of the others; main.ts hands it over. */
export interface TrustDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly clock: Clock;
  readonly emit: (tx: TenantTx, event: Pick<LiveEvent, 'type' | 'subjectId' | 'data'>) => Promise<void>;
  /** Address that people type: signing passkeys are bound to its host name. */
  readonly publicUrl: string;
  /** The log that the next policy document names. `publicKey` is SubjectPublicKeyInfo, base64url. */
  readonly auditLog: (tenantId: string) => Promise<{ readonly origin: string; readonly publicKey: string }>;
}

/** Who is told at once what agents must know; set once the link exists. Called after the commit. */
export interface TrustListeners {
  readonly policyPublished: (tenantId: string) => void;
  readonly lockChanged: (tenantId: string) => void;
}
