import type { MaintenanceWindow } from '#contract/windows.ts';
import type { LiveEvent } from '#contract/tenants.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db, TenantTx } from '../../platform/db.ts';
import type { TenantActor } from '../../platform/http/caller.ts';
import type { Logger } from '../../platform/log.ts';

/** What the followups feature needs of the others; main.ts hands it over. */
export interface FollowUpsDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly clock: Clock;
  readonly log: Logger;
  readonly emit: (tx: TenantTx, event: Pick<LiveEvent, 'type' | 'subjectId' | 'data'>) => Promise<void>;
  readonly windowOf: (tx: TenantTx, windowId: string) => Promise<Pick<MaintenanceWindow, 'missedRun'> | null>;
  readonly plans: {
    /** A new plan for the next occurrence of the same window. `by` null: the server, for who made the old one. */
    readonly planAgain: (
      tx: TenantTx,
      by: TenantActor | null,
      again: {
        readonly planId: string;
        readonly hostIds: readonly string[];
        readonly after: 'now' | 'occurrence';
      },
    ) => Promise<{ readonly planId: string; readonly notBefore: string }>;
  };
  readonly runs: {
    /** Cancels a run that has not begun; what must follow is done after the commit. */
    readonly withdraw: (
      tx: TenantTx,
      actor: TenantActor,
      withdrawn: { readonly runId: string; readonly reason: string },
    ) => Promise<void>;
  };
  readonly notices: {
    readonly takeBack: (
      tx: TenantTx,
      runId: string,
      taken: { readonly kind: 'postponed'; readonly reason: string; readonly nextNotBefore: string },
    ) => Promise<void>;
  };
}
