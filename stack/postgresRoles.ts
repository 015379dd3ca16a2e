import type pg from 'pg';
import type { PasswordName, Secrets } from './secrets.ts';

type Role = { name: string; attributes: string; secret: PasswordName };

/**
 * Three roles so that a hole in one is not a hole in all: the server's requests run as atlas_app under row security,
 * its few platform jobs as atlas_system which sees every tenant but owns nothing, migrations as the owner.
 */
const roles: Role[] = [
  { name: 'atlas_owner', attributes: 'NOBYPASSRLS', secret: 'database-owner' },
  { name: 'atlas_app', attributes: 'NOBYPASSRLS', secret: 'database-app' },
  { name: 'atlas_system', attributes: 'BYPASSRLS', secret: 'database-system' },
  { name: 'keycloak', attributes: 'NOBYPASSRLS', secret: 'database-keycloak' },
];

const databases = [
  { name: 'atlas', owner: 'atlas_owner' },
  { name: 'keycloak', owner: 'keycloak' },
];

/** Makes roles and databases that are missing, and sets the passwords to those of the secrets' files. */
export async function createDatabases(
  connect: (database: string) => pg.Client,
  secrets: Secrets,
): Promise<void> {
  const client = connect('postgres');
  await client.connect();
  try {
    for (const role of roles) await createRole(client, role, secrets.read(role.secret));
    for (const database of databases) await createDatabase(client, database);
  } finally {
    await client.end();
  }
}

async function createRole(client: pg.Client, role: Role, password: string): Promise<void> {
  const name = client.escapeIdentifier(role.name);
  const found = await client.query('select 1 from pg_roles where rolname = $1', [role.name]);
  if (found.rowCount === 0) await client.query(`create role ${name}`);
  const attributes = `login nosuperuser nocreatedb nocreaterole noinherit noreplication ${role.attributes}`;
  // ALTER ROLE takes no parameters; the password is a quoted literal.
  await client.query(`alter role ${name} with ${attributes} password ${client.escapeLiteral(password)}`);
}

async function createDatabase(client: pg.Client, database: { name: string; owner: string }): Promise<void> {
  const name = client.escapeIdentifier(database.name);
  const owner = client.escapeIdentifier(database.owner);
  const found = await client.query('select 1 from pg_database where datname = $1', [database.name]);
  if (found.rowCount === 0) await client.query(`create database ${name} owner ${owner}`);
  await client.query(`revoke all on database ${name} from public`);
  if (database.name === 'atlas')
    await client.query(`grant connect on database ${name} to atlas_app, atlas_system`);
}
