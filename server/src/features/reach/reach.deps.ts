import type { Envelope } from '#contract/dsse.ts';
import type { SshFault, SshHostKey, SshTest } from '#contract/reach.ts';
import type { LiveEvent } from '#contract/tenants.ts';
import type { VisitReply, VisitRequest } from '#contract/visit.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db, TenantTx } from '../../platform/db.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Logger } from '../../platform/log.ts';
import type { SecretStore } from '../../platform/secrets.ts';

/** Where a host is, what it must prove, and the one credential of its job. */
export interface OpenAccess {
  readonly target: {
    readonly address: string;
    readonly port: number;
    readonly user: string;
    readonly hostKeyType: SshHostKey['type'];
    readonly hostKey: string;
  };
  readonly privateKey: string;
}

/** What a job came to when it did not do its work. */
export interface ReachFault {
  readonly fault: SshFault | 'engine_missing';
  readonly detail: string;
}

/** The runner of jobs over SSH. A fault of `visit` and `install` is thrown and told apart by `faultOf`. */
export interface Runner {
  readonly readHostKeys: (
    address: string,
    port: number,
  ) => Promise<{ keys: SshHostKey[]; fault: SshFault | null; detail: string }>;
  readonly contact: (access: OpenAccess) => Promise<SshTest>;
  readonly visit: (access: OpenAccess, request: VisitRequest) => Promise<VisitReply>;
  readonly install: (access: OpenAccess) => Promise<void>;
}

/** What the reach feature needs of the others; main.ts hands it over. */
export interface ReachDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly log: Logger;
  readonly secrets: SecretStore;
  readonly emit: (tx: TenantTx, event: Pick<LiveEvent, 'type' | 'subjectId' | 'data'>) => Promise<void>;
  readonly runner: Runner;
  /** What a thrown error says about the host, or null when it is a fault of ours. */
  readonly faultOf: (error: unknown) => ReachFault | null;
  readonly trust: { readonly chain: (tx: TenantTx) => Promise<Envelope[]> };
  readonly fleet: {
    readonly registerHost: (
      tx: TenantTx,
      host: { readonly siteId: string; readonly hostname: string; readonly machineId: string },
    ) => Promise<string>;
  };
  readonly agents: {
    /** Makes the agent of a host that SSH adopts; an agent that it had before is revoked. */
    readonly adopt: (
      tx: TenantTx,
      agent: {
        readonly agentId: string;
        readonly hostId: string;
        readonly resultPublicKey: Buffer;
        readonly version: string;
      },
    ) => Promise<void>;
    readonly setReach: (tx: TenantTx, agentId: string, reach: 'agent' | 'ssh') => Promise<void>;
    /** The live agent of a host, or null. */
    readonly liveOf: (tx: TenantTx, hostId: string) => Promise<string | null>;
  };
  /** Takes up and lets go of hosts after a change; ends the connection of an agent that SSH replaces. */
  readonly reachChanged: (agentId: string) => Promise<void>;
}
