import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import type { ServerFrame } from '#contract/agent-link.ts';
import type { HostRunState } from '#contract/runs.ts';
import type { TenantLifeEvent } from './scripted-agent.ts';
import type { Order, ReleaseBundle } from '#contract/trust.ts';
import {
  createCommandsModule,
  type CommandsService,
} from '../../server/src/features/commands/commands.module.ts';
import { setActiveRun } from '../../server/src/features/fleet/fleet.repository.ts';
import { createGroupsModule } from '../../server/src/features/groups/groups.module.ts';
import { createQuarantineModule } from '../../server/src/features/quarantine/quarantine.module.ts';
import { createRunsModule } from '../../server/src/features/runs/runs.module.ts';
import { systemClock, type Clock } from '../../server/src/platform/clock.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { createLogger } from '../../server/src/platform/log.ts';
import { createOutbox, type Outbox } from '../../server/src/platform/outbox.ts';
import { createQueues, type Queues } from '../../server/src/platform/queue.ts';
import { newLogKey, startAuditProcess, type AuditProcess } from './auditLog.ts';
import { createTestDatabase, findFreePort, type TestDatabase } from './database.ts';
import { ScriptedAgent } from './scripted-agent.ts';

type RunsModule = ReturnType<typeof createRunsModule>;

interface RunOptions {
  /** Hosts of each wave, by their index. */
  readonly waves: readonly (readonly number[])[];
  readonly pauseS?: number;
  readonly failureThresholdPercent?: number;
  readonly windowMs?: number;
  /** What a window says about its end. */
  readonly limits?: (notBefore: Date, notAfter: Date) => { startBy: Date; changeBy: Date };
  readonly rollbackTier?: 0 | 1;
}

/** The server's process as far as runs are concerned; a test may end it and start another on the same database. */
export interface ServerProcess {
  readonly commands: CommandsService;
  readonly runs: RunsModule;
  readonly outbox: Outbox;
  readonly queues: Queues;
  alive: boolean;
}

const sealWithinMs = 10_000;

async function startRedis(): Promise<{ url: string; process: ChildProcess; directory: string }> {
  const port = await findFreePort();
  const directory = await mkdtemp(path.join(tmpdir(), 'atlas-test-redis-'));
  const options = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--dir',
    directory,
  ];
  const process = spawn('redis-server', options, { stdio: 'ignore' });
  return { url: `redis://127.0.0.1:${port}`, process, directory };
}

/** One tenant with hosts, scripted agents, a real database, a real Redis and a real sealed audit log. */
export class RunWorld {
  readonly tenantId = newId();
  readonly siteId = newId();
  readonly personId = newId();
  readonly agents: ScriptedAgent[] = [];
  readonly emitted: TenantLifeEvent[] = [];
  readonly log = createLogger({ level: process.env.ATLAS_LOG_LEVEL ?? 'silent', role: 'test' });
  /** While true, results become durable and nobody is told: as when the process dies between the two. */
  deaf = false;
  /** What is frozen now. */
  frozen: { freezeId: string; name: string; endMs: number } | null = null;
  /** While true, updates that fail too often go into quarantine. */
  judging = false;
  readonly lock = { tenant: false, runIds: [] as string[] };
  groups!: ReturnType<typeof createGroupsModule>;
  quarantine!: ReturnType<typeof createQuarantineModule>;
  database!: TestDatabase;
  audit!: AuditProcess;
  server!: ServerProcess;
  redis!: Awaited<ReturnType<typeof startRedis>>;
  #admin!: pg.Client;
  #offsetMs = 0;
  readonly clock: Clock = { now: () => Date.now() + this.#offsetMs, sleep: systemClock.sleep };

  static async open(hosts: number): Promise<RunWorld> {
    const world = new RunWorld();
    world.database = await createTestDatabase();
    world.redis = await startRedis();
    world.audit = await startAuditProcess(world.database, { key: newLogKey() });
    world.audit.sealer.start();
    world.#admin = new pg.Client({ connectionString: world.database.superuserUrl });
    await world.#admin.connect();
    await world.#populate(hosts);
    world.groups = createGroupsModule({
      ...{ db: world.audit.db, audit: world.audit.writer, newId, emit: () => Promise.resolve() },
    });
    world.quarantine = createQuarantineModule({
      ...{ db: world.audit.db, audit: world.audit.writer, newId, clock: world.clock },
    });
    world.server = world.#startServer();
    for (const agent of world.agents) await agent.connect(world.server);
    return world;
  }

  async close(): Promise<void> {
    await this.stopServer();
    await this.#admin.end();
    await this.audit.stop();
    await this.database.drop();
    this.redis.process.kill();
    await rm(this.redis.directory, { recursive: true, force: true });
  }

  /** Moves the clock of the server. */
  passTime(ms: number): void {
    this.#offsetMs += ms;
  }

  query<T extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<T[]> {
    return this.#admin.query<T>(text, values).then(({ rows }) => rows);
  }

  /** Ends the server's part without letting it finish: what it had in memory is gone. */
  async stopServer(): Promise<void> {
    const { server } = this;
    server.alive = false;
    for (const agent of this.agents) agent.disconnect();
    await server.runs.jobs.stop();
    await server.commands.stop();
    await server.outbox.stop();
    await server.queues.close();
  }

  /** Another server on the same database; the agents come back to it. */
  async startServer(options: { readonly agents: boolean } = { agents: true }): Promise<void> {
    this.server = this.#startServer();
    if (!options.agents) return;
    for (const agent of this.agents) await agent.connect(this.server);
  }

  /** Redis as after a loss of everything it held. */
  async emptyRedis(): Promise<void> {
    const { Redis } = await import('ioredis');
    const client = new Redis(this.redis.url);
    await client.flushall();
    client.disconnect();
  }

  /** A released run over the hosts, as the releases feature makes it. Returns the run's id. */
  async createRun(options: RunOptions): Promise<string> {
    const runId = newId();
    const nowMs = this.clock.now();
    const notBefore = new Date(nowMs - 1000);
    const notAfter = new Date(nowMs + (options.windowMs ?? 3_600_000));
    const { planId, releaseId } = await this.#insertRelease(runId, notBefore, notAfter);
    const tier = options.rollbackTier ?? 1;
    await this.audit.db.inTenant(this.tenantId, async (tx) => {
      const approved = await this.audit.writer.record(tx, {
        ...{ action: 'release.approved', actorKind: 'system', actorId: null, subjectType: 'release' },
        ...{ subjectId: releaseId, outcome: 'ok', digest: null, details: { planId, runId } },
      });
      await this.server.runs.service.createFromRelease(tx, {
        ...{ tenantId: this.tenantId, runId, releaseId, planId, title: 'Test', notBefore, notAfter },
        limits: options.limits?.(notBefore, notAfter) ?? null,
        approvedEntryId: approved.id,
        waves: {
          pauseS: options.pauseS ?? 0,
          failureThresholdPercent: options.failureThresholdPercent ?? 100,
        },
        restart: 'if_required',
        targets: options.waves.flatMap((hosts, index) =>
          hosts.map((host, order) => {
            const agent = this.agent(host);
            const { hostId, agentId, hostname } = agent;
            const document = {
              ...{
                v: 1 as const,
                release: releaseId,
                host: hostId,
                hostname,
                agent: agentId,
                wave: index + 1,
              },
              orders: orders(tier),
            };
            return { hostId, agentId, hostname, wave: index + 1, order, rollbackTier: tier, document };
          }),
        ),
      });
    });
    return runId;
  }

  agent(index: number): ScriptedAgent {
    const agent = this.agents[index];
    if (agent === undefined) throw new Error(`there is no agent ${index}`);
    return agent;
  }

  /** The state of each host of a run, in the order of the plan. */
  async states(runId: string): Promise<HostRunState[]> {
    const rows = await this.query<{ state: HostRunState }>(
      'select state from host_runs where run_id = $1 and replaced_by is null order by wave, position',
      [runId],
    );
    return rows.map(({ state }) => state);
  }

  async runState(runId: string): Promise<string> {
    const [row] = await this.query<{ state: string }>('select state from runs where id = $1', [runId]);
    return row?.state ?? 'absent';
  }

  async hostRunOf(
    runId: string,
    host: number,
  ): Promise<{ id: string; state: HostRunState; rollbackSeconds: number | null }> {
    const [row] = await this.query<{ id: string; state: HostRunState; rollbackSeconds: number | null }>(
      'select id, state, rollback_seconds as "rollbackSeconds" from host_runs where run_id = $1 and host_id = $2 and replaced_by is null',
      [runId, this.agent(host).hostId],
    );
    if (row === undefined) throw new Error('there is no such host run');
    return row;
  }

  async decisionsOf(hostRunId: string): Promise<string[]> {
    const rows = await this.query<{ code: string }>(
      'select code from run_decisions where host_run_id = $1 order by id',
      [hostRunId],
    );
    return rows.map(({ code }) => code);
  }

  #startServer(): ServerProcess {
    const { audit, clock, log, database } = this;
    const { db } = audit;
    const queues = createQueues({ url: this.redis.url }, log);
    const outbox = createOutbox({
      db,
      log,
      clock: systemClock,
      session: { connectionString: database.systemUrl },
    });
    const byId = new Map(this.agents.map((agent) => [agent.agentId, agent]));
    const isConnected = (agentId: string): boolean =>
      server.alive && (byId.get(agentId)?.isConnectedTo(server) ?? false);
    const commands = createCommandsModule({
      ...{ db, audit: audit.writer, clock, newId, log },
      link: {
        isConnected,
        send: (agentId: string, frame: ServerFrame) => {
          if (!isConnected(agentId)) return 'not_connected';
          byId.get(agentId)?.receive(frame);
          return 'sent';
        },
        disconnect: (agentId) => byId.get(agentId)?.disconnect(),
      },
      bundleFor: async (_tenantId, releaseId) => this.#bundle(releaseId),
      resultKeyOf: (_tenantId, agentId) => Promise.resolve(byId.get(agentId)?.publicKey ?? null),
    });
    const listen = commands.service.onResults.bind(commands.service);
    commands.service.onResults = (listener) =>
      listen((...told) => (this.deaf ? undefined : listener(...told)));
    const runs = createRunsModule({
      ...{ db, audit: audit.writer, clock, newId, log, outbox, commands: commands.service },
      emit: (tx, event) => {
        db.afterCommit(tx, () => this.emitted.push(event));
        return Promise.resolve();
      },
      fleet: { setActiveRun },
      groups: this.groups.service,
      trust: { lockOf: () => Promise.resolve({ tenant: this.lock.tenant, runIds: [...this.lock.runIds] }) },
      quarantine: {
        hostEnded: (tx, ended) =>
          this.judging ? this.quarantine.service.hostEnded(tx, ended) : Promise.resolve(),
        active: (tx) => this.quarantine.service.active(tx),
      },
      frozenAt: () => Promise.resolve(this.frozen),
      seal: (tenantId, entryId) => audit.sealer.sealed(tenantId, entryId, { timeoutMs: sealWithinMs }),
    });
    const server: ServerProcess = { commands: commands.service, runs, outbox, queues, alive: true };
    outbox.subscribe(runs.jobs.subscriber(queues));
    outbox.start();
    runs.jobs.work(queues);
    runs.jobs.start();
    return server;
  }

  /** Scripted agents verify nothing: the bundle has the right shape and says which release it is. */
  #bundle(releaseId: string): ReleaseBundle {
    return {
      envelope: {
        payloadType: 'test',
        payload: Buffer.from(releaseId).toString('base64url'),
        signatures: [],
      },
      ...{ target: '', targetIndex: 0, targetProof: [] },
      audit: { leaf: '', leafIndex: 0, proof: [], checkpoint: '' },
    };
  }

  async #populate(hosts: number): Promise<void> {
    await this.query(`insert into tenants (id, name, slug) values ($1, 'Test', 'test')`, [this.tenantId]);
    await this.query(
      `insert into sites (id, tenant_id, name, time_zone) values ($1, $2, 'Site', 'Europe/Paris')`,
      [this.siteId, this.tenantId],
    );
    for (let index = 0; index < hosts; index += 1) {
      const agent = new ScriptedAgent({ tenantId: this.tenantId, index });
      await this.query(
        `insert into hosts (id, tenant_id, site_id, hostname, machine_id, health_checks) values ($1, $2, $3, $4, $5, '[]')`,
        [agent.hostId, this.tenantId, this.siteId, agent.hostname, index.toString(16).padStart(64, '0')],
      );
      await this.query(
        `insert into agents (id, tenant_id, host_id, result_public_key) values ($1, $2, $3, $4)`,
        [agent.agentId, this.tenantId, agent.hostId, agent.publicKey],
      );
      this.agents.push(agent);
    }
  }

  async #insertRelease(
    runId: string,
    notBefore: Date,
    notAfter: Date,
  ): Promise<{ planId: string; releaseId: string }> {
    const [policyId, planId, releaseId] = [newId(), newId(), newId()];
    const digest = '0'.repeat(64);
    await this.query(
      `insert into maintenance_policies (id, tenant_id, name, body) values ($1, $2, $3, '{}')`,
      [policyId, this.tenantId, `policy ${policyId}`],
    );
    await this.query(
      `insert into plans (id, tenant_id, title, policy_id, policy_name, not_before, not_after, document, document_sha256, preview, counts, created_by)
       values ($1, $2, 'Test', $3, 'p', $4, $5, '\\x00', $6, '{}', '{}', $7)`,
      [planId, this.tenantId, policyId, notBefore, notAfter, digest, this.personId],
    );
    await this.query(
      `insert into releases (id, tenant_id, plan_id, run_id, class, policy_epoch, state, requester_id, reason, not_before, not_after,
         payload, payload_sha256, targets_count, signatures_needed, approved_entry_id, approved_at)
       values ($1, $2, $3, $4, 'R2', 1, 'approved', $5, 'test', $6, $7, '\\x00', $8, 1, 2, $9, now())`,
      [releaseId, this.tenantId, planId, runId, this.personId, notBefore, notAfter, digest, newId()],
    );
    return { planId, releaseId };
  }
}

function orders(tier: 0 | 1): Order[] {
  const one = { name: 'nginx', arch: 'amd64', fromVersion: '1.0', version: '1.1', sha256: '0'.repeat(64) };
  const packages = { packages: [one] };
  const health = { checks: [{ kind: 'tcp', port: 80 }], withinS: 30 };
  return [
    { step: 'preflight', verb: 'host.preflight', args: { minFreeBytes: 1 } },
    {
      step: 'guard',
      verb: 'guard.create',
      args: { tier: tier === 1 ? 'btrfs' : 'none', minFreeBytes: 1, confirmWithinS: 600, silentS: 60 },
    },
    { step: 'download', verb: 'updates.download', args: packages },
    { step: 'install', verb: 'updates.install', args: packages },
    { step: 'restart', verb: 'host.restart', args: { onlyIfRequired: true } },
    { step: 'verify', verb: 'health.verify', args: health },
    { step: 'commit', verb: 'guard.commit', args: { keepHours: 1 } },
    ...(tier === 1 ? [{ step: 'rollback' as const, verb: 'guard.rollback', args: health }] : []),
  ];
}
