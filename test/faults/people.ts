import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Role } from '#contract/access.ts';
import { payloadTypes } from '#contract/dsse.ts';
import type { MaintenancePolicy, PlanDetail } from '#contract/plans.ts';
import type { ReleaseDetail } from '#contract/releases.ts';
import type { RouteSpec } from '#contract/route.ts';
import { routes, type Routes } from '#contract/routes.ts';
import { createSoftPasskey, type SoftPasskey } from '../../cli/softkey.ts';
import { bootstrapMember } from '../../server/src/features/access/access.bootstrap.ts';
import { bootstrapTenant } from '../../server/src/features/tenants/tenants.bootstrap.ts';
import { createWindowsModule } from '../../server/src/features/windows/windows.module.ts';
import { readConfig } from '../../server/src/config.ts';
import { createCore } from '../../server/src/main.platform.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { newRootKey, signRoots } from '../harness/hosts-world.ts';
import type { Installation } from './installation.ts';

const roles: Readonly<Record<string, readonly Role[]>> = {
  chief: ['tenant_admin'],
  olga: ['operator'],
  alice: ['approver'],
  bernard: ['approver'],
};

/** The API refused, or was not there. */
export class Refused extends Error {
  readonly status: number;

  constructor(status: number, detail: string) {
    super(`${status} ${detail}`);
    this.status = status;
  }
}

interface Wish {
  readonly params?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** The version of what is changed, as it was read. */
  readonly version?: number;
}

const patienceMs = 30_000;

/** The people of one tenant in front of the real listener: who plans, who signs with a passkey, who asks for readings. */
export class People {
  readonly tenantId: string;
  readonly siteId: string;
  readonly #installation: Installation;
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'atlas-faults-keys-'));
  readonly #passkeys = new Map<string, SoftPasskey>();
  #policyId = '';

  private constructor(installation: Installation, ids: { tenantId: string; siteId: string }) {
    this.#installation = installation;
    this.tenantId = ids.tenantId;
    this.siteId = ids.siteId;
  }

  static async settle(installation: Installation): Promise<People> {
    const people = new People(installation, await bootstrap(installation));
    for (const name of ['alice', 'bernard']) await people.#enrolKey(name);
    await people.#publish();
    // What the faults break is not the update: it must not go into quarantine and stop the next run.
    await people.must('olga', 'updateQuarantineRule', { body: { hosts: 1000, percent: 100 } });
    const policy = await people.must<MaintenancePolicy>('olga', 'createMaintenancePolicy', {
      body: {
        name: 'Essais',
        updates: { select: 'security', excludePackages: [] },
        guard: { mode: 'best_effort', minFreeGiB: 0, keepHours: 0 },
        restart: 'never',
        health: { checks: [], withinS: 5 },
        waves: { firstSize: 100, size: 100, pauseS: 0, failureThresholdPercent: 100 },
        commitConfirm: { confirmWithinS: 600, silentS: 60 },
      },
    });
    people.#policyId = policy.id;
    return people;
  }

  leave(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** One call of the API over the network as a person; throws `Refused` unless it succeeds. */
  async must<T>(who: string, name: keyof Routes, wish: Wish = {}): Promise<T> {
    const route: RouteSpec = routes[name];
    const params: Record<string, string> = { tenantId: this.tenantId, ...wish.params };
    const where = route.path.replace(/:(\w+)/g, (_all, key: string) => params[key] ?? 'absent');
    const token = await this.#installation.issuer.token({ subject: who, acr: 3 });
    let answer: Response;
    try {
      answer = await fetch(`${this.#installation.peopleUrl}${where}`, {
        method: route.method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(wish.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(wish.version === undefined ? {} : { 'if-match': `"${wish.version}"` }),
        },
        ...(wish.body === undefined ? {} : { body: JSON.stringify(wish.body) }),
        signal: AbortSignal.timeout(patienceMs),
      });
    } catch (error) {
      throw new Refused(0, `${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
    const text = await answer.text().catch((error: unknown) => {
      throw new Refused(0, `${name}: ${String(error)}`);
    });
    if (!answer.ok) throw new Refused(answer.status, `${name}: ${text.slice(0, 300)}`);
    return (text === '' ? {} : JSON.parse(text)) as T;
  }

  /** One line for the shell of a new host. */
  async enrolmentToken(): Promise<string> {
    const body = { siteId: this.siteId, expiresInMinutes: 10 };
    return (await this.must<{ token: string }>('chief', 'createEnrolmentToken', { body })).token;
  }

  /** Takes away the checks that a new host starts with: they look at the services of the machine that runs the test. */
  async leaveServicesAlone(hostId: string): Promise<void> {
    const params = { hostId };
    const { host } = await this.must<{ host: { version: number } }>('chief', 'getHost', { params });
    await this.must('chief', 'updateHost', { params, version: host.version, body: { healthChecks: [] } });
  }

  /** Plans the pending update of these hosts, has two people sign it, and returns the run. */
  async release(hostIds: readonly string[]): Promise<string> {
    const nowMs = Date.now();
    const { plan } = await this.must<PlanDetail>('olga', 'createPlan', {
      body: {
        policyId: this.#policyId,
        title: 'Essai de panne',
        hostIds: [...hostIds],
        notBefore: new Date(nowMs - 1000).toISOString(),
        notAfter: new Date(nowMs + 3_600_000).toISOString(),
      },
    });
    let detail = await this.must<ReleaseDetail>('olga', 'createRelease', {
      params: { planId: plan.id },
      body: { reason: 'Essai de panne' },
    });
    for (const name of ['alice', 'bernard']) {
      const payload = Buffer.from(detail.payload, 'base64url');
      const signature = this.#passkeys.get(name)?.sign(payloadTypes.command, payload);
      const params = { releaseId: detail.release.id };
      detail = await this.must<ReleaseDetail>(name, 'signRelease', { params, body: { signature } });
    }
    return detail.release.runId;
  }

  async #enrolKey(who: string): Promise<void> {
    const { origin } = new URL(this.#installation.environment['ATLAS_PUBLIC_URL'] ?? '');
    const file = path.join(this.#folder, `${newId()}.key`);
    const passkey = await createSoftPasskey(file, { rpId: 'localhost', origin });
    const { challenge } = await this.must<{ challenge: string }>(who, 'startApproverKey');
    const response = passkey.register({ challenge });
    await this.must(who, 'createApproverKey', { body: { kind: 'webauthn', response } });
    this.#passkeys.set(who, passkey);
  }

  async #publish(): Promise<void> {
    const root = newRootKey();
    const { keyId, publicKey } = root;
    const draft = await this.must<{ payloadType: string; payload: string }>('chief', 'draftPolicyDocument', {
      body: { removeKeyIds: [], rootKeys: [{ keyId, publicKey }], rootThreshold: 1 },
    });
    await this.must('chief', 'publishPolicyDocument', { body: { envelope: signRoots(draft, [root]) } });
  }
}

/** The first tenant and its people, as `bootstrap` writes them once the identity provider has the accounts. */
async function bootstrap(installation: Installation): Promise<{ tenantId: string; siteId: string }> {
  const core = await createCore(
    readConfig({ ...installation.environment, ATLAS_LOG_LEVEL: 'silent' }),
    'test',
  );
  try {
    const windows = createWindowsModule(core).service;
    const ids = await bootstrapTenant(
      { ...core, siteCreated: (tx, site) => windows.siteCreated(tx, site) },
      { name: 'Essais', slug: 'essais', site: { name: 'Siège', timeZone: 'Europe/Paris' } },
    );
    for (const [username, has] of Object.entries(roles)) {
      const account = { subject: username, username, name: username, email: null };
      await bootstrapMember(core, ids.tenantId, { account, locale: 'fr', roles: has });
    }
    return ids;
  } finally {
    await core.close();
  }
}
