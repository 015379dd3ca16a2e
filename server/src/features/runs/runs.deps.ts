import type { EndedException } from '#contract/exceptions.ts';
import type { LiveEvent } from '#contract/tenants.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db, TenantTx } from '../../platform/db.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Logger } from '../../platform/log.ts';
import type { Outbox } from '../../platform/outbox.ts';
import type { HoldingFreeze } from './run.policy.ts';
import type { WatchedGroup } from './group-budget.policy.ts';
import type { CommandsService } from '../commands/commands.module.ts';

/** What the runs feature needs of the others; main.ts hands it over. */
export interface RunsDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly log: Logger;
  readonly outbox: Pick<Outbox, 'publish'>;
  readonly commands: CommandsService;
  readonly emit: (tx: TenantTx, event: Pick<LiveEvent, 'type' | 'subjectId' | 'data'>) => Promise<void>;
  readonly fleet: {
    /** Claims the host for a run, or gives it back with null. False when another run holds it. */
    readonly setActiveRun: (tx: TenantTx, hostId: string, runId: string | null) => Promise<boolean>;
  };
  readonly groups: {
    /**
     * The groups that feel it when this host goes down, with every host that matters to them, held still until the transaction ends.
     * Null when there is none.
     */
    readonly lockAround: (
      tx: TenantTx,
      hostId: string,
    ) => Promise<{
      readonly groups: readonly WatchedGroup[];
      /** Members of these groups, and the hypervisors under them. */
      readonly hostIds: readonly string[];
      readonly guests: ReadonlyMap<string, readonly string[]>;
    } | null>;
  };
  readonly trust: {
    /** The emergency stop as it is now. */
    readonly lockOf: (
      tx: TenantTx,
    ) => Promise<{ readonly tenant: boolean; readonly runIds: readonly string[] }>;
  };
  /** Says in the same transaction that a released run does not take place. Absent where nobody is told. */
  readonly takeBack?: (
    tx: TenantTx,
    runId: string,
    taken: { readonly kind: 'cancelled' | 'missed'; readonly reason: string | null },
  ) => Promise<void>;
  /** Judges updates by what became of them, in the same transaction, and says which must not be installed. Absent where nobody judges. */
  readonly quarantine?: {
    readonly hostEnded: (
      tx: TenantTx,
      ended: {
        readonly hostRunId: string;
        readonly hostId: string;
        readonly hostname: string;
        readonly updates: readonly { readonly name: string; readonly version: string }[];
        readonly well: boolean;
      },
    ) => Promise<void>;
    readonly active: (
      tx: TenantTx,
    ) => Promise<readonly { readonly name: string; readonly version: string }[]>;
  };
  /** Exceptions that a plan rests on and that had ended by then. Absent where nothing is exempted. */
  readonly exceptionsEnded?: (tx: TenantTx, planId: string, atMs: number) => Promise<EndedException[]>;
  /** Says in the same transaction that a run has ended. Absent where nothing follows. */
  readonly ended?: (tx: TenantTx, runId: string) => Promise<void>;
  /** The freeze that holds any of these sites at an instant, or null. */
  readonly frozenAt: (
    tx: TenantTx,
    siteIds: readonly string[],
    atMs: number,
  ) => Promise<HoldingFreeze | null>;
  /** Resolves once the entry is in a signed checkpoint; rejects with audit_unavailable when it is not in time. */
  readonly seal: (tenantId: string, entryId: string) => Promise<unknown>;
  /** Silence after which an agent counts as lost, ms; 45 s when absent. */
  readonly silenceMs?: number;
}

/** Topic of the outbox and name of the queue: look at this run again. */
export const advanceTopic = 'runs.advance';
