import pg from 'pg';
import { Agent } from '../../agent/src/runner/agent.ts';
import { newId } from '../../server/src/platform/ids.ts';
import type { TestDatabase } from '../harness/database.ts';
import { SimulatedHost } from './host/simulatedHost.ts';
import { bundleFor, forgetLogs, policyDigest, refresh, type Ground, type HostIds } from './ground.ts';
import { drainReturnS, ordersOf, packageNames } from './orders.ts';
import { loop, type Machine, type Program } from './os/loop.ts';
import { network } from './os/network.ts';
import { closeBackends } from './os/pg.ts';
import { createServer, SimulatedRedis, type AgentRef, type SimulatedServer } from './server.ts';

export interface SimulatedRun {
  readonly runId: string;
  readonly releaseId: string;
  readonly notAfterMs: number;
  readonly guarded: boolean;
  readonly windowMs: number;
  /** Hosts of each wave. */
  readonly waves: readonly (readonly SimulatedHost[])[];
}

/** Deadline of the guard, silence, a restart and the checks after it, and some more. */
const patienceWithHostsMs = (1200 + 120 + 300) * 1000;

/** What a run is asked for, apart from its hosts. */
export interface RunWish {
  readonly waves: readonly (readonly SimulatedHost[])[];
  readonly pauseS: number;
  readonly failureThresholdPercent: number;
  readonly windowMs: number;
  readonly guarded: boolean;
  /** The work of its hosts is taken away before they are changed. */
  readonly drained: boolean;
}

export interface StoryLine {
  readonly atMs: number;
  readonly text: string;
}

/** One history: a server that may die, hosts that may die, people, and a network between them. */
export class SimulatedWorld {
  readonly ground: Ground;
  readonly database: TestDatabase;
  readonly tenantId: string;
  readonly personId = newId();
  readonly hosts: SimulatedHost[] = [];
  readonly runs: SimulatedRun[] = [];
  /** Hosts that stand in for each other, and how many of them may be in a run at once. */
  readonly groups: { readonly hosts: readonly SimulatedHost[]; readonly most: number }[] = [];
  /** Hosts that run on another one: they are down while it is. */
  readonly guests: { readonly guest: SimulatedHost; readonly hypervisor: SimulatedHost }[] = [];
  /** Times in which nobody may begin. */
  readonly freezes: { readonly fromMs: number; untilMs: number }[] = [];
  readonly story: StoryLine[] = [];
  readonly redis = new SimulatedRedis();
  readonly lock = { tenant: false, runIds: [] as string[] };
  /** When the emergency stop was closed, and opened again. */
  readonly stops: { readonly fromMs: number; untilMs: number }[] = [];
  /** The server may die, but not again within its first minute. */
  isSpared = false;
  /** When the server started last. */
  serverSinceMs = 0;
  /** Mishaps come. */
  isStormy = false;
  /** Hosts that stay cut off when the weather is calm again. */
  readonly leftAlone = new Set<SimulatedHost>();
  /** Hosts whose service stayed down longer than their guard allows, in words. */
  readonly leftBroken = new Set<string>();
  /** Hosts that were called untouched while something changed them, in words. */
  readonly denied = new Set<string>();
  /** Commands of which people were told that they are durable. */
  readonly promised: string[] = [];
  readonly #machine: Machine = { name: 'server', skewMs: 0 };
  readonly #heads = new Map<string, string>();
  readonly #ids = new Map<Machine, AgentRef & HostIds>();
  readonly #bundles = new Map<string, ReturnType<typeof bundleFor>['bundle']>();
  readonly startMs = loop.nowMs;
  #server: SimulatedServer | null = null;
  #isAway = false;

  constructor(ground: Ground) {
    this.ground = ground;
    this.database = ground.database;
    this.tenantId = ground.world.tenantId;
  }

  tell(text: string): void {
    this.story.push({ atMs: loop.nowMs - this.startMs, text });
  }

  get server(): SimulatedServer | null {
    return this.#server?.program.alive === true ? this.#server : null;
  }

  idsOf(host: SimulatedHost): AgentRef & HostIds {
    const ids = this.#ids.get(host);
    if (ids === undefined) throw new Error(`${host.name} is not of this world`);
    return ids;
  }

  /** Rows as nobody's policies filter them; takes no time in the world. */
  async query<T extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<T[]> {
    return loop.outside(async () => {
      const client = new pg.Client({ connectionString: this.database.superuserUrl });
      await client.connect();
      try {
        return (await client.query<T>(text, values)).rows;
      } finally {
        await client.end();
      }
    });
  }

  /** Starts the server unless it runs, or somebody keeps it away. */
  startServer(by: 'person' | 'system' = 'person'): void {
    if (by === 'person') this.#isAway = false;
    if (this.server !== null || this.#isAway) return;
    const program: Program = { name: 'server', machine: this.#machine, alive: true, atDeath: [] };
    this.tell('the server starts');
    this.serverSinceMs = loop.nowMs;
    // It may also die by itself, at a statement: the service manager starts it again.
    program.atDeath.push(() => {
      network.listener = null;
      loop.after(loop.chance.between(500, 20_000), () => this.startServer('system'), null);
    });
    this.#server = loop.runAs(program, () =>
      createServer(program, {
        database: this.database,
        logKey: this.ground.logKey,
        heads: this.#heads,
        agentOn: (machine) => this.idsOf(machine as SimulatedHost),
        resultKeyOf: (agentId) => this.#resultKeyOf(agentId),
        bundleFor: (releaseId, hostId) => this.#bundleOf(releaseId, hostId),
        lockOf: () => ({ tenant: this.lock.tenant, runIds: [...this.lock.runIds] }),
        redis: this.redis,
        logLevel: process.env.ATLAS_LOG_LEVEL ?? 'silent',
      }),
    );
  }

  killServer(): void {
    if (this.#server?.program.alive !== true) return;
    this.tell('the server is killed');
    this.#isAway = true;
    loop.kill(this.#server.program);
  }

  #resultKeyOf(agentId: string): Buffer {
    const index = this.hosts.findIndex((host) => this.idsOf(host).agentId === agentId);
    const key = this.ground.resultKeys[index];
    if (key === undefined) throw new Error('no such agent');
    return key.publicKey;
  }

  #bundleOf(releaseId: string, hostId: string) {
    const bundle = this.#bundles.get(`${releaseId} ${hostId}`);
    const host = this.hosts.find((one) => this.idsOf(one).hostId === hostId);
    if (bundle === undefined || host === undefined) throw new Error('nobody released that');
    return refresh(this.ground, this.idsOf(host).agentId, bundle);
  }

  async populate(count: number): Promise<void> {
    const siteId = newId();
    await this.query(`insert into tenants (id, name, slug) values ($1, 'Simulated', 'simulated')`, [
      this.tenantId,
    ]);
    await this.query(
      `insert into sites (id, tenant_id, name, time_zone) values ($1, $2, 'Site', 'Europe/Paris')`,
      [siteId, this.tenantId],
    );
    for (let index = 0; index < count; index += 1) await this.#createHost(index, siteId);
  }

  async #createHost(index: number, siteId: string): Promise<void> {
    const hostname = `host-${index + 1}`;
    const packages = new Map(packageNames.map((name) => [name, '1.0']));
    const host = new SimulatedHost(hostname, packages, (on, root) => this.#startAgent(on, root));
    const ids = { tenantId: this.tenantId, hostId: newId(), agentId: newId(), hostname };
    host.onChange = (commandId) => void this.#lookAtChange(host, commandId);
    this.#ids.set(host, ids);
    this.hosts.push(host);
    await this.query(
      `insert into hosts (id, tenant_id, site_id, hostname, machine_id, health_checks) values ($1, $2, $3, $4, $5, '[]')`,
      [ids.hostId, this.tenantId, siteId, hostname, index.toString(16).padStart(64, '0')],
    );
    await this.query(
      `insert into agents (id, tenant_id, host_id, result_public_key) values ($1, $2, $3, $4)`,
      [ids.agentId, this.tenantId, ids.hostId, this.ground.resultKeys[index]?.publicKey],
    );
    this.#enrol(host, ids, index);
  }

  /** What is said of a host at the moment in which its first file changes. */
  async #lookAtChange(host: SimulatedHost, commandId: string): Promise<void> {
    const rows = await this.query<{ patch: string }>(
      `select h.outcomes->>'patch' as patch from commands c join host_runs h on h.id = c.host_run_id where c.id = $1`,
      [commandId],
    );
    for (const { patch } of rows)
      if (patch === 'not_started' || patch === 'not_installed')
        this.denied.add(`${host.name} was called ${patch} while it was being changed`);
  }

  /** Puts on the disk what an enrolment leaves there. */
  #enrol(host: SimulatedHost, ids: AgentRef, index: number): void {
    const { certificate, policyEnvelope, resultKeys } = this.ground;
    const folder = '/var/lib/atlas-agent/identity';
    host.disk.makeFolder(folder);
    const record = {
      ...{ v: 1, tenantId: ids.tenantId, hostId: ids.hostId, agentId: ids.agentId },
      ...{ agentsUrl: 'wss://atlas.example.test/link', policySha256: policyDigest(this.ground) },
      ...{ generation: 1, enrolledAt: new Date().toISOString() },
    };
    const files: Record<string, string> = {
      'identity.json': JSON.stringify(record),
      'key.pem': certificate.keyPem,
      'result-key.pem': String(resultKeys[index]?.privateKey.export({ type: 'pkcs8', format: 'pem' })),
      'chain.pem': certificate.certificatePem,
      'ca.pem': certificate.certificatePem,
      'policies.json': JSON.stringify([policyEnvelope]),
    };
    for (const [name, content] of Object.entries(files)) {
      const file = host.disk.open(`${folder}/${name}`, 'w');
      if (file !== null) host.disk.append(file, Buffer.from(content));
    }
    host.disk.syncAll();
  }

  #startAgent(host: SimulatedHost, root: string): Program {
    const program: Program = { name: `agent of ${host.name}`, machine: host, alive: true, atDeath: [] };
    loop.runAs(program, () => {
      Agent.open(root)
        .then((agent) => agent.start())
        .catch((error: unknown) => {
          this.tell(`the agent of ${host.name} does not start: ${String(error)}`);
          loop.after(0, () => loop.kill(program), null);
        });
    });
    return program;
  }

  /** A released run over these hosts: what two people signed, and the row that the engine finds. */
  async createRun(wish: RunWish): Promise<SimulatedRun> {
    const server = this.server;
    if (server === null) throw new Error('a run needs a server');
    const [runId, releaseId, planId, policyId] = [newId(), newId(), newId(), newId()];
    const [notBeforeMs, notAfterMs] = [loop.nowMs - 1000, loop.nowMs + wish.windowMs];
    const terms = { releaseId, runId, notBeforeMs, notAfterMs };
    await this.#insertRelease({ ...terms, planId, policyId });
    const targets = wish.waves.flatMap((hosts, wave) =>
      hosts.map((host, order) => {
        const ids = this.idsOf(host);
        const made = bundleFor(this.ground, ids, {
          ...terms,
          orders: ordersOf(wish),
          wave: wave + 1,
        });
        this.#bundles.set(`${releaseId} ${ids.hostId}`, made.bundle);
        const { hostId, agentId, hostname } = ids;
        const rollbackTier = wish.guarded ? (1 as const) : (0 as const);
        return { hostId, agentId, hostname, wave: wave + 1, order, rollbackTier, document: made.target };
      }),
    );
    await loop.runAs(server.program, () =>
      server.db.inTenant(this.tenantId, async (tx) => {
        const approved = await server.audit.record(tx, {
          ...{ action: 'release.approved', actorKind: 'system', actorId: null, subjectType: 'release' },
          ...{ subjectId: releaseId, outcome: 'ok', digest: null, details: { planId, runId } },
        });
        await server.runs.service.createFromRelease(tx, {
          ...{ tenantId: this.tenantId, runId, releaseId, planId, title: 'Simulated' },
          notBefore: new Date(notBeforeMs),
          notAfter: new Date(notAfterMs),
          approvedEntryId: approved.id,
          limits: null,
          waves: { pauseS: wish.pauseS, failureThresholdPercent: wish.failureThresholdPercent },
          restart: 'if_required',
          targets,
        });
      }),
    );
    const { guarded, windowMs, waves } = wish;
    const run = { runId, releaseId, notAfterMs, guarded, windowMs, waves };
    this.runs.push(run);
    this.tell(
      `run ${this.runs.length} is released: ${wish.waves.map((wave) => wave.length).join(' + ')} hosts`,
    );
    return run;
  }

  /** Closes or opens the emergency stop; the engine hears of it as from the trust feature. */
  setStop(isClosed: boolean): void {
    if (this.lock.tenant === isClosed) return;
    this.lock.tenant = isClosed;
    this.tell(`the emergency stop is ${isClosed ? 'closed' : 'opened'}`);
    if (isClosed) this.stops.push({ fromMs: loop.nowMs, untilMs: Infinity });
    const last = this.stops.at(-1);
    if (!isClosed && last !== undefined) last.untilMs = loop.nowMs;
    this.asServer((server) => server.runs.service.lockChanged(this.tenantId));
  }

  /** Looks every now and then for a host that is down for longer than any guard of this world allows. */
  watchHosts(): void {
    const sinceMs = new Map<SimulatedHost, number>();
    const outSinceMs = new Map<SimulatedHost, number>();
    const look = (): void => {
      loop.after(10_000, look, null);
      this.#lookForDrained(outSinceMs);
      for (const host of this.hosts) {
        if (!host.isUp || host.isHealthy || !host.isGuarded) sinceMs.delete(host);
        else if (!sinceMs.has(host)) sinceMs.set(host, loop.nowMs);
        const downMs = loop.nowMs - (sinceMs.get(host) ?? loop.nowMs);
        if (downMs > patienceWithHostsMs) this.leftBroken.add(`${host.name} was left with its service down`);
      }
    };
    look();
  }

  /** A host that is up brings its work back by itself soon after its deadline, unless its own service does not come up. */
  #lookForDrained(sinceMs: Map<SimulatedHost, number>): void {
    for (const host of this.hosts) {
      if (!host.isUp || !host.drain.isOut || !host.isHealthy) sinceMs.delete(host);
      else if (!sinceMs.has(host)) sinceMs.set(host, loop.nowMs);
      const outMs = loop.nowMs - (sinceMs.get(host) ?? loop.nowMs);
      if (outMs > (drainReturnS + 900) * 1000) this.leftBroken.add(`${host.name} was left drained`);
    }
  }

  /** Lets the server do something for somebody; what is refused or lost is nobody's fault. */
  asServer(act: (server: SimulatedServer) => Promise<unknown>): void {
    const { server } = this;
    if (server === null) return;
    loop.runAs(server.program, () => void act(server).catch(() => undefined));
  }

  async #insertRelease(of: {
    readonly releaseId: string;
    readonly runId: string;
    readonly planId: string;
    readonly policyId: string;
    readonly notBeforeMs: number;
    readonly notAfterMs: number;
  }): Promise<void> {
    const digest = '0'.repeat(64);
    const [from, to] = [new Date(of.notBeforeMs), new Date(of.notAfterMs)];
    await this.query(
      `insert into maintenance_policies (id, tenant_id, name, body) values ($1, $2, $3, '{}')`,
      [of.policyId, this.tenantId, `policy ${of.policyId}`],
    );
    await this.query(
      `insert into plans (id, tenant_id, title, policy_id, policy_name, not_before, not_after, document, document_sha256, preview, counts, created_by)
       values ($1, $2, 'Simulated', $3, 'p', $4, $5, '\\x00', $6, '{}', '{}', $7)`,
      [of.planId, this.tenantId, of.policyId, from, to, digest, this.personId],
    );
    await this.query(
      `insert into releases (id, tenant_id, plan_id, run_id, class, policy_epoch, state, requester_id, reason, not_before, not_after,
         payload, payload_sha256, targets_count, signatures_needed, approved_entry_id, approved_at)
       values ($1, $2, $3, $4, 'R2', 1, 'approved', $5, 'simulated', $6, $7, '\\x00', $8, 1, 2, $9, now())`,
      [of.releaseId, this.tenantId, of.planId, of.runId, this.personId, from, to, digest, newId()],
    );
  }

  /** Ends everything; nothing of this world moves afterwards. */
  async end(): Promise<void> {
    network.listener = null;
    if (this.#server !== null) loop.kill(this.#server.program);
    for (const host of this.hosts) host.killAgent();
    await loop.settle();
    forgetLogs();
    await closeBackends();
  }

  /** Empties every table: a tenth of the time that a fresh database takes. */
  async clear(): Promise<void> {
    const tables = await this.query<{ name: string }>(
      `select quote_ident(tablename) as name from pg_tables where schemaname = 'public' and tablename <> 'schema_migrations'`,
    );
    const names = tables.map(({ name }) => name).join(', ');
    // Triggers that keep the audit log append-only would refuse it, as they should.
    await this.query(`set session_replication_role = replica; truncate ${names} restart identity cascade`);
  }
}
