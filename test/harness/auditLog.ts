import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { LogKey } from '../../server/src/platform/audit/checkpoint.ts';
import { createHeadMemory } from '../../server/src/platform/audit/headMemory.ts';
import { createSealer, type Sealer } from '../../server/src/platform/audit/sealer.ts';
import {
  createAuditWriter,
  type AuditDraft,
  type AuditWriter,
} from '../../server/src/platform/audit/auditWriter.ts';
import { systemClock } from '../../server/src/platform/clock.ts';
import { createDb, type Db } from '../../server/src/platform/db.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { createLogger } from '../../server/src/platform/log.ts';
import type { TestDatabase } from './database.ts';

/** One server process's share of the audit log: its pools, its writer and its sealer. */
export interface AuditProcess {
  readonly db: Db;
  readonly writer: AuditWriter;
  readonly sealer: Sealer;
  readonly stop: () => Promise<void>;
}

/** An Ed25519 key, and the key as the log uses it. */
export function newLogKey(): LogKey {
  const pair = generateKeyPairSync('ed25519');
  return {
    publicKeySpki: pair.publicKey.export({ type: 'spki', format: 'der' }),
    sign: (message) => sign(null, message, pair.privateKey),
  };
}

/** A draft that differs from others by its number. */
export function draftOf(number: number, more: Partial<AuditDraft> = {}): AuditDraft {
  return {
    action: 'host_run.transitioned',
    actorKind: 'system',
    actorId: null,
    subjectType: 'host_run',
    subjectId: null,
    outcome: 'ok',
    digest: null,
    details: { number, text: 'é ☃ "quoted"' },
    ...more,
  };
}

interface ProcessOptions {
  readonly key: LogKey;
  /** Folder of the kept checkpoints; the process's own when absent. */
  readonly memoryDirectory?: string;
  readonly batchSize?: number;
  readonly onHalted?: (tenantId: string, why: string) => void;
}

/** Starts writer and sealer on a database, as main does. */
export async function startAuditProcess(
  database: TestDatabase,
  options: ProcessOptions,
): Promise<AuditProcess> {
  const log = createLogger({ level: 'silent', role: 'test' });
  const session = { connectionString: database.systemUrl };
  const db = createDb({
    app: { connectionString: database.appUrl },
    system: session,
    log,
    clock: systemClock,
  });
  const own = options.memoryDirectory ?? (await mkdtemp(path.join(tmpdir(), 'atlas-heads-')));
  const { key, batchSize, onHalted } = options;
  const sealer = createSealer({
    ...{ db, clock: systemClock, log, key, session },
    memory: createHeadMemory(own, (error) => log.error({ err: error }, 'the head was not kept')),
    ...(batchSize === undefined ? {} : { batchSize }),
    ...(onHalted === undefined ? {} : { onHalted }),
  });
  const writer = createAuditWriter({ db, clock: systemClock, newId, onCommitted: sealer.wake });
  sealer.start();
  return {
    db,
    writer,
    sealer,
    stop: async () => {
      await sealer.stop();
      await db.close();
      if (options.memoryDirectory === undefined) await rm(own, { recursive: true, force: true });
    },
  };
}
