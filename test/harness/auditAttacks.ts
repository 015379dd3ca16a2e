import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import type { LogKey } from '../../server/src/platform/audit/checkpoint.ts';
import { createHeadMemory } from '../../server/src/platform/audit/headMemory.ts';
import { createAuditModule } from '../../server/src/features/audit/audit.module.ts';
import { checkEvidence } from '../../server/src/features/commands/commands.module.ts';
import type { AuditService } from '../../server/src/features/audit/audit.module.ts';
import { startAuditProcess, type AuditProcess } from './auditLog.ts';
import type { TestDatabase } from './database.ts';

/** A running audit log with the service that people and agents talk to. */
export interface AuditServer {
  readonly process: AuditProcess;
  readonly service: AuditService;
  readonly stop: () => Promise<void>;
}

/** Starts the log and its service on a database; `memoryDirectory` is what the machine's disk remembers of the log. */
export async function startAuditServer(
  database: TestDatabase,
  options: { key: LogKey; memoryDirectory: string },
): Promise<AuditServer> {
  const running = await startAuditProcess(database, options);
  const { service } = createAuditModule({
    db: running.db,
    writer: running.writer,
    sealer: running.sealer,
    memory: createHeadMemory(options.memoryDirectory, () => undefined),
    publicKeySpki: options.key.publicKeySpki,
    evidence: (tenantId) => checkEvidence(running.db, tenantId),
    words: (sha256) => [sha256.slice(0, 8)],
  });
  return { process: running, service, stop: () => running.stop() };
}

/** Runs statements as the database's superuser: whoever stole it. */
export async function attack(database: TestDatabase, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: database.superuserUrl });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

/** A folder that is removed at the end. */
export async function createFolder(): Promise<{ path: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'atlas-audit-'));
  return { path: folder, remove: () => rm(folder, { recursive: true, force: true }) };
}
