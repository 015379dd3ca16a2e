import type { ServerFrame } from '#contract/agent-link.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db } from '../../platform/db.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Logger } from '../../platform/log.ts';
import type { Nodes } from '../../platform/nodes.ts';
import type { TrustService } from '../trust/trust.module.ts';

/** What the builds feature needs of the others; main.ts hands it over. */
export interface BuildsDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly log: Logger;
  readonly nodes: Pick<Nodes, 'tell' | 'hear'>;
  /** The agents that this process reaches. */
  readonly link: {
    readonly isConnected: (agentId: string) => boolean;
    readonly send: (agentId: string, frame: ServerFrame) => unknown;
  };
  readonly trust: Pick<TrustService, 'current' | 'openRootSigned'>;
}
