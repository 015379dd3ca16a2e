import path from 'node:path';
import type { Config } from './config.ts';
import { createAuditWriter, type AuditWriter } from './platform/audit/auditWriter.ts';
import type { LogKey } from './platform/audit/checkpoint.ts';
import { createHeadMemory, type HeadMemory } from './platform/audit/headMemory.ts';
import { openLogKey } from './platform/audit/logKey.ts';
import { createSealer, type Sealer } from './platform/audit/sealer.ts';
import { systemClock, type Clock } from './platform/clock.ts';
import { createDb, type Db } from './platform/db.ts';
import { createMetrics, type Metrics } from './platform/http/metrics.ts';
import { createMailer, type Mailer } from './platform/mailer.ts';
import { newId, type NewId } from './platform/ids.ts';
import { createNodes, type Nodes } from './platform/nodes.ts';
import { createLogger, type Logger } from './platform/log.ts';
import { createOutbox, type Outbox } from './platform/outbox.ts';
import type { DatabaseAccess } from './platform/primary/addresses.ts';
import { findPrimary, type Primary } from './platform/primary/primary.ts';
import { createTimelineMemory, type TimelineMemory } from './platform/primary/timelineMemory.ts';
import { createQueues, type Queues } from './platform/queue.ts';
import { createRedis, type Redis } from './platform/redis.ts';
import type { SessionAccess } from './platform/session.ts';
import { createSecretStore, readKeyEncryptionKey, type SecretStore } from './platform/secrets.ts';

/** What every feature may ask for; nothing in it knows a business word. */
export interface Platform {
  readonly config: Config;
  readonly log: Logger;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly db: Db;
  /** Which of several databases is written to. */
  readonly primary: Primary;
  readonly secrets: SecretStore;
  readonly redis: Redis;
  /** A connection that only listens to wake-ups. */
  readonly listener: Redis;
  readonly queues: Queues;
  readonly outbox: Outbox;
  /** Words to the other processes of this installation. */
  readonly nodes: Nodes;
  readonly metrics: Metrics;
  /** Null: no relay is configured, nobody is told anything by mail. */
  readonly mailer: Mailer | null;
  readonly audit: AuditWriter;
  readonly sealer: Sealer;
  readonly heads: HeadMemory;
  readonly logKey: LogKey;
  readonly close: () => Promise<void>;
}

/** The part that commands of one shot need: database, secrets, audit. */
export type Core = Pick<
  Platform,
  | 'config'
  | 'log'
  | 'clock'
  | 'newId'
  | 'db'
  | 'primary'
  | 'secrets'
  | 'audit'
  | 'sealer'
  | 'heads'
  | 'logKey'
  | 'close'
> & {
  /** How sessions of their own reach the database. */
  readonly session: SessionAccess;
};

/** What this machine remembers of the database that was written to last. */
export function timelineMemoryOf(config: Config): TimelineMemory {
  return createTimelineMemory(path.join(config.dataDirectory, 'database-timeline.json'));
}

/** Finds the database that may be written to, as the role of that access. */
export function openPrimary(config: Config, access: DatabaseAccess, log: Logger): Promise<Primary> {
  return findPrimary({ access, memory: timelineMemoryOf(config), clock: systemClock, log });
}

export async function createCore(config: Config, role: string): Promise<Core> {
  const log = createLogger({ level: config.logLevel, role });
  const clock = systemClock;
  const primary = await openPrimary(config, config.systemDatabase, log);
  const db = createDb({ app: config.database, system: config.systemDatabase, primary, log, clock });
  const session = { ...config.systemDatabase, primary };
  const secrets = createSecretStore(db, await readKeyEncryptionKey(config.kekFile));
  const logKey = await openLogKey(secrets);
  const heads = createHeadMemory(path.join(config.dataDirectory, 'audit-heads'), (error) =>
    log.error({ err: error }, 'the last checkpoints could not be kept outside the database'),
  );
  const sealer = createSealer({
    db,
    clock,
    log,
    key: logKey,
    memory: heads,
    session,
    onHalted: (tenantId, why) =>
      log.fatal({ tenantId, why }, 'an audit log does not fit its checkpoints: it is halted'),
  });
  const audit = createAuditWriter({ db, clock, newId, onCommitted: sealer.wake });
  const close = async (): Promise<void> => {
    await sealer.stop();
    await heads.flush();
    await db.close();
    await primary.stop();
  };
  return {
    ...{ config, log, clock, newId, db, primary, session },
    secrets,
    audit,
    sealer,
    heads,
    logKey,
    close,
  };
}

export async function createPlatform(config: Config, role: string): Promise<Platform> {
  const core = await createCore(config, role);
  const { db, log, clock, session } = core;
  const redis = createRedis(config.redis, 'request', log);
  const listener = createRedis(config.redis, 'worker', log);
  const queues = createQueues(config.redis, log);
  const outbox = createOutbox({ db, log, clock, session });
  const nodes = createNodes({ db, log, clock, newId, session });
  const metrics = createMetrics();
  const standbys = () => core.primary.report()?.addresses.filter(({ role }) => role === 'follows') ?? [];
  metrics.gauge(
    'atlas_database_standbys_following',
    'Standbys that follow the primary',
    () => standbys().length,
  );
  metrics.gauge(
    'atlas_database_standby_behind_bytes',
    'What the standby farthest behind has not flushed',
    () => Math.max(0, ...standbys().map(({ behindBytes }) => behindBytes ?? 0)),
  );
  metrics.gauge('atlas_database_connections_busy', 'Connections of requests in use', () => db.load().busy);
  metrics.gauge(
    'atlas_database_callers_waiting',
    'Requests that wait for a connection',
    () => db.load().waiting,
  );
  return {
    ...core,
    redis,
    listener,
    queues,
    outbox,
    nodes,
    metrics,
    mailer: config.smtp === null ? null : createMailer(config.smtp),
    close: async () => {
      await nodes.stop();
      await outbox.stop();
      await queues.close();
      redis.disconnect();
      listener.disconnect();
      await core.close();
    },
  };
}
