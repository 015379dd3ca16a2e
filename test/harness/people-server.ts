import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { FastifyInstance } from 'fastify';
import type { Role } from '#contract/access.ts';
import { readConfig } from '../../server/src/config.ts';
import type { Account, IdentityDirectory } from '../../server/src/features/access/identityDirectory.ts';
import { createTokenVerifier } from '../../server/src/features/access/tokens.verifier.ts';
import { bootstrapMember } from '../../server/src/features/access/access.bootstrap.ts';
import { bootstrapTenant } from '../../server/src/features/tenants/tenants.bootstrap.ts';
import { createWindowsModule } from '../../server/src/features/windows/windows.module.ts';
import { createFeatures, type Features } from '../../server/src/main.features.ts';
import { createPlatform, type Platform } from '../../server/src/main.platform.ts';
import { createPeople } from '../../server/src/main.serve.ts';
import { apiAudience, cliClientId, webClientId } from '../../server/src/platform/identity/realm.policy.ts';
import { createTestDatabase, findFreePort, type TestDatabase } from './database.ts';
import { startIssuer, type TestIssuer } from './issuer.ts';
import { startRedis } from './redis.ts';

/** The people's listener on a real PostgreSQL and a real Redis; tokens come from an issuer of the test. */
export interface PeopleServer {
  readonly app: FastifyInstance;
  readonly platform: Platform;
  readonly features: Features;
  readonly issuer: TestIssuer;
  readonly database: TestDatabase;
  /** Makes a tenant with one site. */
  readonly tenant: (slug: string) => Promise<{ tenantId: string; siteId: string }>;
  /** Gives a person roles in a tenant; the username is the subject of the tokens. */
  readonly member: (tenantId: string, username: string, roles: readonly Role[]) => Promise<string>;
  /** A token of this person; `claims` replace what a fresh sign-in of this level would say. */
  readonly bearer: (
    username: string,
    acr?: number,
    claims?: Readonly<Record<string, unknown>>,
  ) => Promise<{ authorization: string }>;
  readonly stop: () => Promise<void>;
}

/** Accounts in memory in place of Keycloak's; what the product does with them is what is tested. */
function createMemoryDirectory(): IdentityDirectory {
  const accounts = new Map<string, Account>();
  return {
    find: (username) => Promise.resolve(accounts.get(username) ?? null),
    create: (draft) => {
      const account = { ...draft, subject: draft.username };
      accounts.set(draft.username, account);
      return Promise.resolve({ account, firstPassword: randomBytes(12).toString('base64url') });
    },
    remove: (subject) => {
      accounts.delete(subject);
      return Promise.resolve();
    },
  };
}

type Environment = Readonly<Record<string, string>>;

async function configure(
  database: TestDatabase,
  redisUrl: string,
  { directory, roles, environment }: { directory: string; roles: string; environment: Environment },
) {
  const kekFile = path.join(directory, 'kek');
  await writeFile(kekFile, randomBytes(32), { mode: 0o600 });
  return readConfig({
    ATLAS_PUBLIC_URL: 'http://localhost:49999',
    ATLAS_PEOPLE_PORT: '49999',
    ATLAS_AGENTS_PORT: String(await findFreePort()),
    ATLAS_ENROL_PORT: String(await findFreePort()),
    ATLAS_DATABASE_URL: database.appUrl,
    ATLAS_SYSTEM_DATABASE_URL: database.systemUrl,
    ATLAS_REDIS_URL: redisUrl,
    ATLAS_KEYCLOAK_URL: 'http://127.0.0.1:9/idp',
    ATLAS_KEK_FILE: kekFile,
    ATLAS_DATA_DIR: directory,
    ATLAS_WEB_DIR: path.join(directory, 'no-web'),
    ATLAS_AGENTLESS_DIR: path.join(directory, 'no-agentless'),
    ATLAS_ROLE: roles,
    ATLAS_LOG_LEVEL: 'error',
    ...environment,
  });
}

/** `roles` as the server's own flag; `agents` opens the listeners for hosts too. `environment`: other settings. */
export async function startPeopleServer(
  roles = 'api,worker',
  environment: Environment = {},
): Promise<PeopleServer> {
  const directory = await mkdtemp(path.join(tmpdir(), 'atlas-test-people-'));
  const [database, redis, issuer] = await Promise.all([createTestDatabase(), startRedis(), startIssuer()]);
  const platform = await createPlatform(
    await configure(database, redis.url, { directory, roles, environment }),
    'test',
  );
  const tokens = createTokenVerifier({
    issuer: issuer.issuer,
    jwksUrl: issuer.jwksUrl,
    audience: apiAudience,
    clients: [webClientId, cliClientId],
    clock: platform.clock,
  });
  const windows = createWindowsModule(platform).service;
  const features = createFeatures(platform, { tokens, directory: createMemoryDirectory() });
  platform.sealer.start();
  platform.outbox.start();
  await features.start();
  // Suites ask more in a minute than people do, on machines that have other work.
  const limits = {
    perCallerAMinute: 1_000_000,
    perAddressAMinute: 1_000_000,
    // A calendar is read by one program, so that its limit is the real one here too.
    perCapabilityAMinute: 30,
    maxEventLoopDelayMs: 0,
  };
  const app = await createPeople(platform, features, { checkResponses: true, limits });
  await app.ready();
  return {
    app,
    platform,
    features,
    issuer,
    database,
    tenant: (slug) =>
      bootstrapTenant(
        { ...platform, siteCreated: (tx, made) => windows.siteCreated(tx, made) },
        { name: slug, slug, site: { name: 'Siège', timeZone: 'Europe/Paris' } },
      ),
    member: (tenantId, username, roles) =>
      bootstrapMember(platform, tenantId, {
        account: { subject: username, username, name: username, email: null },
        locale: 'fr',
        roles,
      }),
    bearer: async (username, acr = 2, claims = {}) => ({
      authorization: `Bearer ${await issuer.token({ subject: username, acr, claims })}`,
    }),
    stop: async () => {
      await app.close();
      await features.stop();
      await platform.close();
      await Promise.all([issuer.close(), redis.stop(), database.drop()]);
      await rm(directory, { recursive: true, force: true });
    },
  };
}
