import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ResultBatch } from '#contract/results.ts';
import { checkEvidence } from '../server/src/features/commands/commands.evidence.ts';
import { createCommandsModule } from '../server/src/features/commands/commands.module.ts';
import { createAgentLink } from '../server/src/hosts/agent-link/agentLink.ts';
import type { AgentIdentity } from '../server/src/hosts/port.ts';
import { createAuditWriter } from '../server/src/platform/audit/auditWriter.ts';
import { createHeadMemory } from '../server/src/platform/audit/headMemory.ts';
import { createSealer } from '../server/src/platform/audit/sealer.ts';
import { verifyLog } from '../server/src/platform/audit/verifyLog.ts';
import { systemClock } from '../server/src/platform/clock.ts';
import { createDb } from '../server/src/platform/db.ts';
import { newId } from '../server/src/platform/ids.ts';
import { createLogger } from '../server/src/platform/log.ts';
import { newLogKey } from '../test/harness/auditLog.ts';
import type { SimulatedAgent, SimulatedFleet } from './fleet.ts';

/** The product's parts under measurement, composed as its own main does. */

interface Connections {
  readonly app: { readonly connectionString: string };
  readonly system: { readonly connectionString: string };
}

/** Seconds between heartbeats: longer than any scenario, so that none is measured by accident. */
export const heartbeatS = 600;

export type Audited = ReturnType<typeof openAuditedDatabase>;

/** The database with its audit writer and sealer, as the server composes them. */
export function openAuditedDatabase({ app, system }: Connections) {
  const log = createLogger({ level: 'warn', role: 'bench' });
  const clock = systemClock;
  const db = createDb({ app, system, log, clock, poolSize: 20 });
  const directory = mkdtempSync(path.join(tmpdir(), 'atlas-bench-'));
  const memory = createHeadMemory(directory, (error) => log.warn({ err: error }));
  const key = newLogKey();
  const sealer = createSealer({ db, clock, log, key, memory, session: system });
  const audit = createAuditWriter({ db, clock, newId, onCommitted: sealer.wake });
  sealer.start();
  return { db, audit, sealer, clock, log, directory, memory, publicKeySpki: key.publicKeySpki };
}

/** The listener with mutual TLS, and the commands with their sequencer behind it. */
export function openCommands(
  { db, audit, clock, log }: Audited,
  fleet: SimulatedFleet,
  resultKeyOf: (tenantId: string, agentId: string) => Promise<Buffer | null>,
) {
  const byId = new Map(fleet.agents.map((agent) => [agent.agentId, agent]));
  const tls = {
    keyPem: fleet.serverKeyPem,
    chainPem: fleet.serverCertificatePem,
    clientRootsPem: [fleet.caPem],
  };
  const link = createAgentLink({
    host: '127.0.0.1',
    port: 0,
    clock,
    log,
    heartbeatS,
    tls: () => Promise.resolve(tls),
  });
  const { service } = createCommandsModule({
    db,
    audit,
    clock,
    newId,
    log,
    link,
    bundleFor: () => Promise.reject(new Error('nothing is released here')),
    resultKeyOf,
  });
  const known = (identity: AgentIdentity): SimulatedAgent => {
    const agent = byId.get(identity.agentId);
    if (agent === undefined) throw new Error('an agent that nobody made');
    return agent;
  };
  return { link, service, known };
}

type Commands = ReturnType<typeof openCommands>['service'];

/** Commands that wait for their result. */
export class WaitingCommands {
  readonly #waiting = new Map<string, () => void>();

  /** Resolves when the result is durable. `accepted` is called when the command is, which is when a person is told so. */
  async run(
    service: Commands,
    { tenantId, agentId, hostId }: SimulatedAgent,
    accepted?: (commandId: string) => void,
  ): Promise<void> {
    const principal = { kind: 'system', id: null } as const;
    const { commandId } = await service.submitCommand(tenantId, {
      agentId,
      hostId,
      verb: 'agent.noop',
      principal,
    });
    accepted?.(commandId);
    await new Promise<void>((resolve) => this.#waiting.set(commandId, resolve));
  }

  end(envelopes: readonly { readonly payload: string }[]): void {
    for (const { payload } of envelopes) {
      const { results } = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as ResultBatch;
      for (const { commandId } of results) {
        this.#waiting.get(commandId)?.();
        this.#waiting.delete(commandId);
      }
    }
  }
}

/** What a tenant's audit log is found to be. */
export interface LogVerdict {
  readonly tenantId: string;
  readonly entries: number;
  /** What does not verify, in words; empty when all does. */
  readonly faults: readonly string[];
}

/** Verifies the whole log of each tenant, and that what is stored is what its entries speak of. */
export async function verifyLogs(
  { db, publicKeySpki }: Audited,
  tenantIds: readonly string[],
): Promise<LogVerdict[]> {
  const verdicts: LogVerdict[] = [];
  for (const tenantId of tenantIds) {
    const { size, steps } = await verifyLog({ db, tenantId, publicKeySpki, kept: [] });
    const { firstBad } = await checkEvidence(db, tenantId);
    const faults = steps.filter(({ ok }) => !ok).map(({ step, detail }) => `${step}: ${detail}`);
    if (firstBad !== null) faults.push(`evidence: entry ${firstBad.index}: ${firstBad.reason}`);
    verdicts.push({ tenantId, entries: size, faults });
  }
  return verdicts;
}
