import type { AgentSummary } from '#contract/fleet.ts';
import type { LiveEvent } from '#contract/tenants.ts';
import type { Verb } from '#contract/verbs.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db, TenantTx } from '../../platform/db.ts';
import type { NewId } from '../../platform/ids.ts';

/** Numbers of the first screen that other features know. */
export interface WorkCounts {
  readonly releasesToSign: number;
  readonly activeRuns: number;
  readonly failedHostRuns24h: number;
}

/** What the fleet feature needs of the others; main.ts hands it over. */
export interface FleetDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly emit: (tx: TenantTx, event: Pick<LiveEvent, 'type' | 'subjectId' | 'data'>) => Promise<void>;
  readonly agents: { readonly get: (tx: TenantTx, agentId: string) => Promise<AgentSummary> };
  /** Sends a verb of class R0 to one host; commands of a run never go this way. */
  readonly submitCommand: (
    tenantId: string,
    command: {
      readonly hostId: string;
      readonly agentId: string;
      readonly verb: Verb;
      readonly principal: { readonly kind: 'person' | 'apiKey'; readonly id: string };
    },
  ) => Promise<{ readonly commandId: string }>;
  readonly countWork: (tx: TenantTx, personId: string) => Promise<WorkCounts>;
}
