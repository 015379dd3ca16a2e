import { text } from 'node:stream/consumers';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { RoleName } from '#contract/access.ts';
import { Line, OneOf, Strict } from '#contract/schema.ts';
import { SiteCreate, TenantCreate } from '#contract/tenants.ts';
import { digestWords } from '#contract/words.ts';
import type { Config } from './config.ts';
import { bootstrapMember } from './features/access/access.bootstrap.ts';
import { makeFirstPassword } from './features/access/identityDirectory.ts';
import { runAuditCommand } from './features/audit/audit.commands.ts';
import { createAuditModule } from './features/audit/audit.module.ts';
import { checkEvidence } from './features/commands/commands.module.ts';
import { bootstrapTenant } from './features/tenants/tenants.bootstrap.ts';
import { createWindowsModule } from './features/windows/windows.module.ts';
import { createCore, openPrimary, timelineMemoryOf, type Core } from './main.platform.ts';
import { ensureAccounts } from './platform/identity/accounts.ts';
import { reconcileRealm, type ProvisionerAccess } from './platform/identity/reconcile.ts';
import { serverSecretName } from './platform/identity/serverSecret.ts';
import { createLogger } from './platform/log.ts';
import { migrate } from './platform/migrations.ts';
import { inspectDatabase } from './platform/primary/primary.ts';

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** `migrate`: brings the database to this version. */
export async function migrateCommand(config: Config): Promise<number> {
  if (config.ownerDatabase === null)
    throw new Error('ATLAS_OWNER_DATABASE_URL is not set: migrations need the owner');
  const access = config.ownerDatabase;
  const primary = await openPrimary(
    config,
    access,
    createLogger({ level: config.logLevel, role: 'migrate' }),
  );
  try {
    const applied = await migrate({ ...access, primary, directory: config.migrationsDirectory });
    print(JSON.stringify({ applied }));
  } finally {
    await primary.stop();
  }
  return 0;
}

/** `database`: says which address serves and whether standbys follow. Status 1 when nothing may be written to. */
export async function databaseCommand(config: Config): Promise<number> {
  const report = await inspectDatabase(config.systemDatabase, timelineMemoryOf(config));
  print(JSON.stringify(report));
  return report.warnings.includes('no_primary') ? 1 : 0;
}

function provisioner({ keycloak }: Config): ProvisionerAccess {
  if (keycloak.adminSecret === null) throw new Error('ATLAS_KEYCLOAK_ADMIN_SECRET_FILE is not set');
  return { baseUrl: keycloak.url, clientId: keycloak.adminClientId, clientSecret: keycloak.adminSecret };
}

async function withCore<T>(config: Config, work: (core: Core) => Promise<T>): Promise<T> {
  const core = await createCore(config, 'command');
  try {
    return await work(core);
  } finally {
    await core.close();
  }
}

/** `provision`: makes the realm as it is written, and mends every drift. */
export async function provisionCommand(config: Config): Promise<number> {
  const { serverClientSecret, ...changed } = await reconcileRealm(provisioner(config), config.publicUrl);
  await withCore(config, (core) => core.secrets.set(serverSecretName, Buffer.from(serverClientSecret)));
  print(JSON.stringify(changed));
  return 0;
}

const BootstrapInput = Strict({
  tenant: TenantCreate,
  site: SiteCreate,
  accounts: Type.Array(
    Strict({
      username: Type.String({ pattern: '^[a-z0-9][a-z0-9._-]{1,62}$' }),
      name: Line(200),
      email: Type.String({ maxLength: 254 }),
      locale: Type.Optional(OneOf(['fr', 'en'])),
      /** Absent: one is made, printed once, and must be changed at first sign-in. */
      password: Type.Optional(Type.String({ minLength: 12, maxLength: 200 })),
      /** Key of the one-time passwords, as its raw text; absent: the person enrols a code generator at first sign-in. */
      totpSecret: Type.Optional(Type.String({ minLength: 16, maxLength: 64 })),
      roles: Type.Array(RoleName, { minItems: 1, uniqueItems: true }),
    }),
    { minItems: 1 },
  ),
});
const bootstrapInput = Compile(BootstrapInput);

/**
 * `bootstrap`: the first tenant with its site and accounts, from JSON on the standard input, since arguments are readable by all.
 * What exists is left as it is. Prints identifiers, and the first passwords that were made.
 */
export async function bootstrapCommand(config: Config): Promise<number> {
  const input: unknown = JSON.parse(await text(process.stdin));
  if (!bootstrapInput.Check(input)) {
    print(
      JSON.stringify({
        refused: bootstrapInput.Errors(input).map(({ instancePath, message }) => ({ instancePath, message })),
      }),
    );
    return 2;
  }
  const drafts = input.accounts.map((account) => ({
    ...account,
    locale: account.locale ?? ('fr' as const),
    password: account.password ?? makeFirstPassword(),
  }));
  const subjects = await ensureAccounts(
    provisioner(config),
    drafts.map(({ roles: _, totpSecret, ...draft }) => ({
      ...draft,
      ...(totpSecret === undefined ? {} : { totpSecret }),
    })),
  );
  const made = await withCore(config, async (core) => {
    const windows = createWindowsModule(core).service;
    const { tenantId, siteId } = await bootstrapTenant(
      { ...core, siteCreated: (tx, site) => windows.siteCreated(tx, site) },
      { ...input.tenant, site: input.site },
    );
    const accounts = [];
    for (const [index, { username, name, email, locale, roles, password }] of drafts.entries()) {
      const account = { subject: subjects[index] ?? '', username, name, email };
      const personId = await bootstrapMember(core, tenantId, { account, locale, roles });
      const given = input.accounts[index]?.password !== undefined;
      accounts.push({ username, personId, ...(given ? {} : { firstPassword: password }) });
    }
    return { tenantId, siteId, accounts };
  });
  print(JSON.stringify(made));
  return 0;
}

/** `audit verify [tenantId]`, `audit export DIRECTORY [tenantId]`. */
export function auditCommand(config: Config, args: readonly string[]): Promise<number> {
  return withCore(config, async (core) => {
    // A running server seals; without one, this command seals what is left.
    core.sealer.start();
    const { service } = createAuditModule({
      db: core.db,
      writer: core.audit,
      sealer: core.sealer,
      memory: core.heads,
      publicKeySpki: core.logKey.publicKeySpki,
      evidence: (id) => checkEvidence(core.db, id),
      words: digestWords,
    });
    return runAuditCommand({ db: core.db, service, print }, args);
  });
}
