import { readFileSync } from 'node:fs';
import path from 'node:path';
import envSchema from 'env-schema';
import { Type, type Static, type TSchema } from 'typebox';
import { splitAddresses, type DatabaseAccess } from './platform/primary/addresses.ts';
import { samplingPeriodS } from '#contract/metrics.ts';

const Port = (description: string) => Type.Integer({ minimum: 1, maximum: 65_535, description });
const Text = (description: string, fallback?: string) =>
  Type.String({ description, minLength: 1, ...(fallback === undefined ? {} : { default: fallback }) });
const Days = (limits: { minimum: number; maximum: number; default: number }, description: string) =>
  Type.Integer({ ...limits, description });
const Optional = <T extends TSchema>(schema: T) => Type.Optional(schema);

const root = path.resolve(import.meta.dirname, '../..');

/** Everything that the environment may say. `docs/configuration.md` is made from these descriptions. */
export const Environment = Type.Object({
  ATLAS_PUBLIC_URL: Text(
    'Address that people type, scheme and port included; no path. Passkeys are bound to its host name',
  ),
  ATLAS_PEOPLE_HOST: Text('Address on which the listener for people listens', '127.0.0.1'),
  ATLAS_PEOPLE_PORT: Port('Port of the listener for people'),
  ATLAS_AGENTS_HOST: Text('Address on which the listener for agents (mutual TLS) listens', '127.0.0.1'),
  ATLAS_AGENTS_PORT: Port('Port of the listener for agents'),
  ATLAS_AGENTS_NAMES: Text(
    'Names and addresses in the certificate of the agents’ listeners, separated by commas',
    'localhost',
  ),
  ATLAS_AGENTS_URL: Optional(
    Text('Address that agents are told at enrolment; from the names and port when absent'),
  ),
  ATLAS_ENROL_HOST: Text('Address on which the enrolment listener listens', '127.0.0.1'),
  ATLAS_ENROL_PORT: Port('Port of the enrolment listener'),
  ATLAS_ENROL_URL: Optional(
    Text('Address written into enrolment tokens; from the names and port when absent'),
  ),
  ATLAS_DATABASE_URL: Text(
    'PostgreSQL, role atlas_app: requests, under row-level security. Primary and standbys as `host:port,host:port`, in the same order in all three',
  ),
  ATLAS_DATABASE_PASSWORD_FILE: Optional(Text('File that holds the password of atlas_app')),
  ATLAS_SYSTEM_DATABASE_URL: Text('PostgreSQL, role atlas_system: listed platform jobs'),
  ATLAS_SYSTEM_DATABASE_PASSWORD_FILE: Optional(Text('File that holds the password of atlas_system')),
  ATLAS_OWNER_DATABASE_URL: Optional(Text('PostgreSQL, role atlas_owner: migrations only')),
  ATLAS_OWNER_DATABASE_PASSWORD_FILE: Optional(Text('File that holds the password of atlas_owner')),
  ATLAS_REDIS_URL: Text('Redis: queues, rate limits, one-use tickets. May be emptied at any time'),
  ATLAS_REDIS_PASSWORD_FILE: Optional(Text('File that holds the password of Redis')),
  ATLAS_KEYCLOAK_URL: Text(
    'Where Keycloak answers on the inside, with its path, e.g. http://127.0.0.1:8080/idp',
  ),
  ATLAS_KEYCLOAK_ADMIN_CLIENT: Text(
    'Client of the master realm that provisions the realm',
    'atlas-provisioner',
  ),
  ATLAS_KEYCLOAK_ADMIN_SECRET_FILE: Optional(
    Text('File that holds the secret of that client; needed to provision'),
  ),
  ATLAS_OIDC_ISSUER: Optional(Text('Issuer in tokens; from the public address when absent')),
  ATLAS_DATA_DIR: Text('Folder for files that the server writes', path.join(root, '.atlas/server')),
  ATLAS_KEK_FILE: Text('File that holds the key-encryption key, 256 bits'),
  ATLAS_AGENTLESS_DIR: Text(
    'Folder where `./atlas agentless install` puts what hosts without an agent need',
    path.join(root, '.atlas/cache/agentless'),
  ),
  ATLAS_WEB_DIR: Text('Folder of the built web application', path.join(root, 'web/dist')),
  ATLAS_ROLE: Text(
    'What this process does: all, or a comma-separated list of api, agents, worker, scheduler',
    'all',
  ),
  ATLAS_LOG_LEVEL: Type.Unsafe<'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'>({
    type: 'string',
    enum: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
    default: 'info',
    description: 'Least severe line that is logged',
  }),
  ATLAS_SMTP_HOST: Optional(
    Text('Mail relay (SMTP) by which people are told of maintenance; nobody is told when absent'),
  ),
  ATLAS_SMTP_PORT: Type.Integer({
    minimum: 1,
    maximum: 65_535,
    default: 587,
    description: 'Port of the mail relay',
  }),
  ATLAS_SMTP_TLS: Type.Unsafe<'starttls' | 'tls' | 'none'>({
    type: 'string',
    enum: ['starttls', 'tls', 'none'],
    default: 'starttls',
    description:
      'Encryption towards the relay: starttls (demanded), tls (from the first byte) or none, for a relay on this machine only',
  }),
  ATLAS_SMTP_CA_FILE: Optional(
    Text('Certificates, PEM, that vouch for the relay; those of Node when absent'),
  ),
  ATLAS_SMTP_USER: Optional(Text('Account at the relay; none when absent')),
  ATLAS_SMTP_PASSWORD_FILE: Optional(Text('File that holds the password of that account')),
  ATLAS_SMTP_FROM: Optional(Text('Sender of all mails, an address; needed with ATLAS_SMTP_HOST')),
  ATLAS_METRICS_PORT: Optional(
    Port('Port on 127.0.0.1 where Prometheus reads metrics; no metrics when absent'),
  ),
  ATLAS_MEASURES_EVERY_S: Type.Integer({
    ...samplingPeriodS,
    default: 60,
    description: 'How often each agent measures its host',
  }),
  ATLAS_MEASURES_RAW_DAYS: Days(
    { minimum: 2, maximum: 6, default: 2 },
    'How long single measures are kept, and taken from an agent that was cut off',
  ),
  ATLAS_MEASURES_PACKED_DAYS: Days(
    { minimum: 7, maximum: 126, default: 90 },
    'How long measures are kept by the minute, packed; up to seven days more, since they are given up by the week',
  ),
  ATLAS_MEASURES_ROLLED_UP_DAYS: Days(
    { minimum: 366, maximum: 2002, default: 1826 },
    'How long the least, mean and greatest values of each hour and day are kept; up to 91 days more',
  ),
});

type Environment = Static<typeof Environment>;

interface Listener {
  readonly host: string;
  readonly port: number;
}

/** The mail relay, and as whom it is spoken to. */
export interface SmtpAccess {
  readonly host: string;
  readonly port: number;
  readonly tls: 'starttls' | 'tls' | 'none';
  readonly ca: string | null;
  readonly account: { readonly user: string; readonly password: string } | null;
  readonly from: string;
}

export interface Config {
  readonly publicUrl: string;
  readonly people: Listener;
  readonly agents: Listener & { readonly names: readonly string[]; readonly url: string };
  readonly enrol: Listener & { readonly url: string };
  readonly database: DatabaseAccess;
  readonly systemDatabase: DatabaseAccess;
  readonly ownerDatabase: DatabaseAccess | null;
  readonly redis: { readonly url: string; readonly password?: string };
  readonly keycloak: {
    readonly url: string;
    readonly adminClientId: string;
    readonly adminSecret: string | null;
  };
  readonly issuer: string;
  readonly dataDirectory: string;
  readonly kekFile: string;
  readonly agentlessDirectory: string;
  readonly webDirectory: string;
  readonly migrationsDirectory: string;
  readonly roles: ReadonlySet<ServerRole>;
  readonly logLevel: Environment['ATLAS_LOG_LEVEL'];
  /** Null: no mail is sent. */
  readonly smtp: SmtpAccess | null;
  readonly metricsPort: number | null;
  /** Measures of hosts: seconds from one to the next, and days for which each form of them is kept. */
  readonly measures: {
    readonly everyS: number;
    readonly retention: { readonly samples: number; readonly hours: number; readonly days: number };
  };
  readonly version: string;
}

const serverRoles = ['api', 'agents', 'worker', 'scheduler'] as const;
export type ServerRole = (typeof serverRoles)[number];

function readSecret(file: string | undefined): string | undefined {
  return file === undefined ? undefined : readFileSync(file, 'utf8').trim();
}

/** The address with the password in it: pg and ioredis let an address without one win over a password beside it. */
function withPassword(url: string, passwordFile: string | undefined): string {
  const password = readSecret(passwordFile);
  if (password === undefined) return url;
  const whole = new URL(url);
  whole.password = password;
  return whole.href;
}

function access(url: string, passwordFile: string | undefined): DatabaseAccess {
  const [first, ...others] = splitAddresses(url);
  return {
    connectionString: withPassword(first, passwordFile),
    others: others.map((other) => withPassword(other, passwordFile)),
  };
}

function readRoles(text: string): Set<ServerRole> {
  const named = text.split(',').map((role) => role.trim());
  if (named.includes('all')) return new Set(serverRoles);
  const unknown = named.filter((role) => !serverRoles.some((known) => known === role));
  if (unknown.length > 0) throw new Error(`ATLAS_ROLE does not know: ${unknown.join(', ')}`);
  return new Set(serverRoles.filter((role) => named.includes(role)));
}

function readPublicUrl(text: string): string {
  const url = new URL(text);
  if (url.pathname !== '/' || url.search !== '' || !/^https?:$/.test(url.protocol)) {
    throw new Error('ATLAS_PUBLIC_URL is an http or https origin without a path');
  }
  return url.origin;
}

const loopback = new Set(['localhost', '127.0.0.1', '::1']);

function readSmtp(env: Environment): SmtpAccess | null {
  const { ATLAS_SMTP_HOST: host, ATLAS_SMTP_FROM: from, ATLAS_SMTP_USER: user } = env;
  if (host === undefined) return null;
  if (from === undefined || !/^[^@\s<>]+@[^@\s<>]+$/.test(from))
    throw new Error('ATLAS_SMTP_FROM is an address, and is needed with ATLAS_SMTP_HOST');
  if (env.ATLAS_SMTP_TLS === 'none' && !loopback.has(host))
    throw new Error('ATLAS_SMTP_TLS may be none for a relay on this machine only');
  const password = readSecret(env.ATLAS_SMTP_PASSWORD_FILE);
  if ((user === undefined) !== (password === undefined))
    throw new Error('ATLAS_SMTP_USER and ATLAS_SMTP_PASSWORD_FILE go together');
  return {
    ...{ host, port: env.ATLAS_SMTP_PORT, tls: env.ATLAS_SMTP_TLS, from },
    ca: env.ATLAS_SMTP_CA_FILE === undefined ? null : readFileSync(env.ATLAS_SMTP_CA_FILE, 'utf8'),
    account: user === undefined || password === undefined ? null : { user, password },
  };
}

function readVersion(): string {
  const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string };
  return manifest.version;
}

/** Reads and checks the environment; throws with the name of the variable at fault. */
export function readConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  const env = envSchema<Environment>({
    schema: Environment,
    data: { ...environment },
    dotenv: false,
    env: false,
  });
  const publicUrl = readPublicUrl(env.ATLAS_PUBLIC_URL);
  const names = env.ATLAS_AGENTS_NAMES.split(',').map((name) => name.trim());
  return {
    publicUrl,
    people: { host: env.ATLAS_PEOPLE_HOST, port: env.ATLAS_PEOPLE_PORT },
    agents: {
      host: env.ATLAS_AGENTS_HOST,
      port: env.ATLAS_AGENTS_PORT,
      names,
      url: env.ATLAS_AGENTS_URL ?? `wss://${names[0] ?? 'localhost'}:${env.ATLAS_AGENTS_PORT}/link`,
    },
    enrol: {
      host: env.ATLAS_ENROL_HOST,
      port: env.ATLAS_ENROL_PORT,
      url: env.ATLAS_ENROL_URL ?? `https://${names[0] ?? 'localhost'}:${env.ATLAS_ENROL_PORT}/enrol`,
    },
    database: access(env.ATLAS_DATABASE_URL, env.ATLAS_DATABASE_PASSWORD_FILE),
    systemDatabase: access(env.ATLAS_SYSTEM_DATABASE_URL, env.ATLAS_SYSTEM_DATABASE_PASSWORD_FILE),
    ownerDatabase:
      env.ATLAS_OWNER_DATABASE_URL === undefined
        ? null
        : access(env.ATLAS_OWNER_DATABASE_URL, env.ATLAS_OWNER_DATABASE_PASSWORD_FILE),
    redis: { url: withPassword(env.ATLAS_REDIS_URL, env.ATLAS_REDIS_PASSWORD_FILE) },
    keycloak: {
      url: env.ATLAS_KEYCLOAK_URL,
      adminClientId: env.ATLAS_KEYCLOAK_ADMIN_CLIENT,
      adminSecret: readSecret(env.ATLAS_KEYCLOAK_ADMIN_SECRET_FILE) ?? null,
    },
    issuer: env.ATLAS_OIDC_ISSUER ?? `${publicUrl}/idp/realms/atlas`,
    dataDirectory: env.ATLAS_DATA_DIR,
    kekFile: env.ATLAS_KEK_FILE,
    agentlessDirectory: env.ATLAS_AGENTLESS_DIR,
    webDirectory: env.ATLAS_WEB_DIR,
    migrationsDirectory: path.join(root, 'migrations'),
    roles: readRoles(env.ATLAS_ROLE),
    logLevel: env.ATLAS_LOG_LEVEL,
    smtp: readSmtp(env),
    metricsPort: env.ATLAS_METRICS_PORT ?? null,
    measures: {
      everyS: env.ATLAS_MEASURES_EVERY_S,
      retention: {
        samples: env.ATLAS_MEASURES_RAW_DAYS,
        hours: env.ATLAS_MEASURES_PACKED_DAYS,
        days: env.ATLAS_MEASURES_ROLLED_UP_DAYS,
      },
    },
    version: readVersion(),
  };
}
