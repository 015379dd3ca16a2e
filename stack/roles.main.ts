// Makes roles and databases in a PostgreSQL that others run (docker-compose.yml): ATLAS_POSTGRES_HOST, secrets as files.
import pg from 'pg';
import { createDatabases } from './postgresRoles.ts';
import { openSecrets } from './secrets.ts';

const secrets = openSecrets(process.env.ATLAS_SECRETS_DIR ?? '/run/secrets');
const host = process.env.ATLAS_POSTGRES_HOST ?? 'postgres';
const connect = (database: string): pg.Client =>
  new pg.Client({ host, user: 'postgres', password: secrets.read('postgres-superuser'), database });

await createDatabases(connect, secrets);
