import { createHash, createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import type { Role } from '#contract/access.ts';
import { payloadTypes, type Envelope, type EnvelopeSignature } from '#contract/dsse.ts';
import type { Problem } from '#contract/errors.ts';
import type { Inventory, PendingUpdate } from '#contract/inventory.ts';
import type { MaintenancePolicyBody, PlanDetail, PlanRequest } from '#contract/plans.ts';
import type { ReleaseDetail } from '#contract/releases.ts';
import type { RouteSpec } from '#contract/route.ts';
import { routes, type Routes } from '#contract/routes.ts';
import type { FreezeBody, WindowBody } from '#contract/windows.ts';
import { createSoftPasskey, type SoftPasskey } from '../../cli/softkey.ts';
import { recordInventory, upsertHost } from '../../server/src/features/fleet/fleet.repository.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { newRootKey, signRoots } from './hosts-world.ts';
import { startPeopleServer, type PeopleServer } from './people-server.ts';
import { assertWebAuthn, pae, type AssertionOptions } from './software-key.ts';

export interface Answer<T> {
  readonly status: number;
  readonly body: T & Problem;
}

interface Wish {
  readonly params?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly query?: string;
  /** The version of what is changed, as it was read. */
  readonly version?: number;
}

const gib = 1024 ** 3;

const origin = 'http://localhost:49999';
const rpId = 'localhost';

export const monthly: MaintenancePolicyBody = {
  name: 'Mensuelle',
  updates: { select: 'security', excludePackages: [] },
  guard: { mode: 'required', minFreeGiB: 1, keepHours: 24 },
  restart: 'if_required',
  health: { checks: [{ kind: 'tcp', port: 443 }], withinS: 60 },
  waves: { firstSize: 1, size: 2, pauseS: 60, failureThresholdPercent: 20 },
  commitConfirm: { confirmWithinS: 600, silentS: 60 },
};

/** Every night from 22:00 to 04:00 in Paris. */
export const nights: WindowBody = {
  name: 'Nuits',
  siteId: null,
  timeZone: 'Europe/Paris',
  startsOn: '2026-01-01',
  startTime: '22:00',
  rule: 'FREQ=DAILY',
  durationMinutes: 360,
  startCutOffMinutes: 90,
  rebootReserveMinutes: 30,
  hardStopMinutes: 60,
};

/** From 15 December at noon, three weeks, every year. */
export const yearEnd: FreezeBody = {
  name: 'Fin d’année',
  reason: 'Clôture des comptes',
  siteId: null,
  when: {
    kind: 'recurring',
    timeZone: 'Europe/Paris',
    startsOn: '2026-01-01',
    startTime: '12:00',
    rule: 'FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=15',
    durationMinutes: 21 * 1440,
  },
};

export function update(name: string, bend: Partial<PendingUpdate> = {}): PendingUpdate {
  return {
    name,
    arch: 'amd64',
    fromVersion: '1.0-1',
    version: '1.0-2',
    origin: 'Debian-Security:12/stable-security',
    security: true,
    downloadBytes: 1_000_000,
    sha256: randomBytes(32).toString('hex'),
    ...bend,
  };
}

export function inventory(hostname: string, bend: Partial<Inventory> = {}): Inventory {
  return {
    collectedAt: new Date().toISOString(),
    hostname,
    os: {
      ...{ family: 'debian', id: 'debian', name: 'Debian GNU/Linux 12', version: '12' },
      ...{ kernel: '6.1.0', arch: 'x64' },
    },
    hardware: { vendor: null, model: null, virtual: null, cpu: null, cores: 2, memoryBytes: 2 * gib },
    disks: [{ mount: '/', fs: 'btrfs', sizeBytes: 40 * gib, freeBytes: 20 * gib }],
    addresses: ['192.0.2.10'],
    bootId: newId(),
    bootedAt: new Date(Date.now() - 86_400_000).toISOString(),
    packageManager: 'apt',
    guardTier: 'btrfs',
    guardReason: 'the root is a btrfs subvolume',
    restartRequired: false,
    restartReasons: [],
    failedUnits: [],
    services: ['nginx.service'],
    updates: [update('openssl'), update('libssl3')],
    updatesError: null,
    ...bend,
  };
}

/** People of one tenant around the real API: who plans, who signs, and hosts that have said what they need. */
export class ReleaseDesk {
  readonly #folder: string;
  readonly #admin: pg.Client;
  readonly #passkeys = new Map<string, { readonly passkey: SoftPasskey; readonly file: string }>();
  readonly #root = newRootKey();
  readonly people = new Map<string, string>();
  readonly server: PeopleServer;
  readonly tenantId: string;
  readonly siteId: string;

  private constructor(parts: {
    server: PeopleServer;
    folder: string;
    admin: pg.Client;
    tenantId: string;
    siteId: string;
  }) {
    this.server = parts.server;
    this.#folder = parts.folder;
    this.#admin = parts.admin;
    this.tenantId = parts.tenantId;
    this.siteId = parts.siteId;
  }

  /** A tenant in which these people have these roles. */
  static async open(
    people: Readonly<Record<string, readonly Role[]>>,
    options: { readonly roles?: string; readonly environment?: Readonly<Record<string, string>> } = {},
  ): Promise<ReleaseDesk> {
    const server = await startPeopleServer(options.roles, options.environment);
    const admin = new pg.Client({ connectionString: server.database.superuserUrl });
    await admin.connect();
    const folder = await mkdtemp(path.join(tmpdir(), 'atlas-desk-'));
    const desk = new ReleaseDesk({ server, folder, admin, ...(await server.tenant('clinique')) });
    for (const [name, roles] of Object.entries(people))
      desk.people.set(name, await server.member(desk.tenantId, name, roles));
    return desk;
  }

  async close(): Promise<void> {
    await this.#admin.end();
    await this.server.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }

  id(name: string): string {
    const id = this.people.get(name);
    if (id === undefined) throw new Error(`nobody is called ${name}`);
    return id;
  }

  /** One call of the API as a person. */
  async ask<T = unknown>(who: string, name: keyof Routes, wish: Wish = {}): Promise<Answer<T>> {
    const route: RouteSpec = routes[name];
    const params: Record<string, string> = { tenantId: this.tenantId, ...wish.params };
    const url = route.path.replace(/:(\w+)/g, (_all, key: string) => params[key] ?? 'absent');
    const answer = await this.server.app.inject({
      method: route.method,
      url: wish.query === undefined ? url : `${url}?${wish.query}`,
      headers: {
        ...(await this.server.bearer(who, 3)),
        ...(wish.version === undefined ? {} : { 'if-match': `"${wish.version}"` }),
      },
      ...(wish.body === undefined ? {} : { payload: wish.body as Record<string, unknown> }),
    });
    const body = answer.body === '' ? ({} as T & Problem) : answer.json<T & Problem>();
    return { status: answer.statusCode, body };
  }

  /** As `ask`, where anything but success ends the test. */
  async must<T>(who: string, name: keyof Routes, wish: Wish = {}): Promise<T> {
    const { status, body } = await this.ask<T>(who, name, wish);
    if (status >= 300) throw new Error(`${name} as ${who}: ${status} ${JSON.stringify(body)}`);
    return body;
  }

  /** Rows as nobody's policies filter them. */
  async query<T extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<T[]> {
    return (await this.#admin.query<T>(text, values)).rows;
  }

  /** A host with a connected agent, and what the agent said about it. */
  async host(hostname: string, facts: Partial<Inventory> | null = {}): Promise<string> {
    const [hostId, agentId] = [newId(), newId()];
    const key = generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' });
    await this.server.platform.db.inTenant(this.tenantId, async (tx) => {
      const machineId = randomBytes(32).toString('hex');
      await upsertHost(tx, { id: hostId, siteId: this.siteId, hostname, machineId, healthChecks: [] });
      if (facts !== null) await recordInventory(tx, hostId, inventory(hostname, facts));
    });
    // Nobody sends heartbeats here: seen an hour from now is connected for as long as a test runs.
    await this.query(
      `insert into agents (id, tenant_id, host_id, result_public_key, connected_at, last_seen_at)
       values ($1, $2, $3, $4, now(), now() + interval '1 hour')`,
      [agentId, this.tenantId, hostId, key],
    );
    return hostId;
  }

  async #createPasskey(): Promise<{ readonly passkey: SoftPasskey; readonly file: string }> {
    const file = path.join(this.#folder, `${newId()}.key`);
    return { passkey: await createSoftPasskey(file, { rpId, origin }), file };
  }

  /** A passkey of nobody. */
  async newPasskey(): Promise<SoftPasskey> {
    return (await this.#createPasskey()).passkey;
  }

  /** Makes a passkey for a person and records it; it counts from the next policy document on. */
  async enrolKey(who: string): Promise<SoftPasskey> {
    const { passkey, file } = await this.#createPasskey();
    const { challenge } = await this.must<{ challenge: string }>(who, 'startApproverKey');
    const response = passkey.register({ challenge });
    await this.must(who, 'createApproverKey', { body: { kind: 'webauthn', response } });
    this.#passkeys.set(who, { passkey, file });
    return passkey;
  }

  /** Publishes the next policy document, signed by the customer's root key. */
  async publish(who: string, removeKeyIds: readonly string[] = []): Promise<number> {
    const { keyId, publicKey } = this.#root;
    const first = await this.query('select 1 from policy_documents where tenant_id = $1', [this.tenantId]);
    const roots = first.length > 0 ? {} : { rootKeys: [{ keyId, publicKey }], rootThreshold: 1 };
    const draft = await this.must<{ payloadType: string; payload: string }>(who, 'draftPolicyDocument', {
      body: { removeKeyIds, ...roots },
    });
    const envelope = signRoots(draft, [this.#root]);
    const { epoch } = await this.must<{ epoch: number }>(who, 'publishPolicyDocument', {
      body: { envelope },
    });
    return epoch;
  }

  /** A document as the customer's root key signs it. */
  signRoot(draft: Pick<Envelope, 'payloadType' | 'payload'>): Envelope {
    return signRoots(draft, [this.#root]);
  }

  #keyOf(who: string): { readonly passkey: SoftPasskey; readonly file: string } {
    const key = this.#passkeys.get(who);
    if (key === undefined) throw new Error(`${who} has no passkey`);
    return key;
  }

  /** The newest passkey of a person. */
  passkey(who: string): SoftPasskey {
    return this.#keyOf(who).passkey;
  }

  /** An assertion by the very key of a person, in which something else is wrong. */
  async bentSignature(
    who: string,
    release: Pick<ReleaseDetail, 'payload'>,
    bend: Partial<AssertionOptions> & { readonly payloadType?: string },
  ): Promise<EnvelopeSignature> {
    const { keyId, privateKeyPem } = JSON.parse(await readFile(this.#keyOf(who).file, 'utf8')) as {
      keyId: string;
      privateKeyPem: string;
    };
    const { payloadType = payloadTypes.command, ...options } = bend;
    const signed = pae(payloadType, Buffer.from(release.payload, 'base64url'));
    const challenge = createHash('sha256').update(signed).digest();
    const key = { keyId, privateKey: createPrivateKey(privateKeyPem) };
    return assertWebAuthn(key, challenge, { rpId, origin, ...options });
  }

  /** The signature of a person over the bytes of a release. */
  signature(who: string, release: Pick<ReleaseDetail, 'payload'>): EnvelopeSignature {
    return this.passkey(who).sign(payloadTypes.command, Buffer.from(release.payload, 'base64url'));
  }

  sign(who: string, release: ReleaseDetail, signature = this.signature(who, release)) {
    const params = { releaseId: release.release.id };
    return this.ask<ReleaseDetail>(who, 'signRelease', { params, body: { signature } });
  }

  /** What somebody asks for: the given hosts, in an hour's window that is open now. */
  request(policyId: string, hostIds: readonly string[], bend: Partial<PlanRequest> = {}): PlanRequest {
    const nowMs = Date.now();
    return {
      policyId,
      title: 'Mises à jour de sécurité',
      hostIds: [...hostIds],
      notBefore: new Date(nowMs - 1000).toISOString(),
      notAfter: new Date(nowMs + 3_600_000).toISOString(),
      ...bend,
    };
  }

  async plan(who: string, request: PlanRequest): Promise<PlanDetail> {
    return this.must<PlanDetail>(who, 'createPlan', { body: request });
  }

  draft(who: string, planId: string) {
    return this.ask<ReleaseDetail>(who, 'createRelease', {
      params: { planId },
      body: { reason: 'Correctifs du mois' },
    });
  }
}
