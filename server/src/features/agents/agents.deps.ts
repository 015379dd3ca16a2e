import type { Envelope } from '#contract/dsse.ts';
import type { LiveEvent } from '#contract/tenants.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db, SystemTx, TenantTx } from '../../platform/db.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Logger } from '../../platform/log.ts';
import type { SecretStore } from '../../platform/secrets.ts';

type EventDraft = Pick<LiveEvent, 'type' | 'subjectId' | 'data'>;

/** What the agents feature needs of the others; main.ts hands it over. */
export interface AgentsDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly log: Logger;
  readonly secrets: SecretStore;
  readonly emit: (tx: TenantTx, event: EventDraft) => Promise<void>;
  readonly emitAll: (
    tx: SystemTx,
    events: readonly (EventDraft & { readonly tenantId: string })[],
  ) => Promise<void>;
  readonly trust: {
    /** Every policy document since epoch 1, oldest first; empty before the first one. */
    readonly chain: (tx: TenantTx) => Promise<Envelope[]>;
  };
  readonly fleet: {
    /** The host of this machine, made when it is new. */
    readonly registerHost: (
      tx: TenantTx,
      host: { readonly siteId: string; readonly hostname: string; readonly machineId: string },
    ) => Promise<string>;
  };
  /** Where hosts enrol, `https://name:port/enrol`, and where agents connect, `wss://name:port/link`. */
  readonly enrolUrl: () => string;
  readonly agentsUrl: () => string;
  /** DNS names and addresses under which agents reach this installation. */
  readonly serverNames: readonly string[];
  /** Folder for what must leave this machine: root keys of the tenants' authorities. */
  readonly offlineDirectory: string;
}

/** Ways to act on connections; set once the listeners exist. */
export interface LinkControl {
  /** An agent is connected here from now on: wherever else a connection of it is left, it is over. */
  readonly connected: (agentId: string, bootId: string) => void;
  /** Ends the connection of an agent, on whichever node it is. */
  readonly disconnect: (agentId: string, code: string) => void;
  /** A tenant's authority was made: the listener must believe it. */
  readonly authoritiesChanged: () => Promise<void>;
}
