import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { findSupervisor, readStatus } from '../stack/daemonState.ts';
import { createApi } from './api.ts';
import type { Api } from './api.ts';
import type { CliContext } from './context.ts';
import { findProvider, renewSession, requireSafeOrigin } from './deviceFlow.ts';
import { exitCodes } from './exitCodes.ts';
import { CommandError } from './failures.ts';
import { readSession, removeSession, sessionFileOf, withSessionLock, writeSession } from './sessionFile.ts';

/** Flags of every command that talks to a server. */
export interface ServerFlags {
  readonly server?: string;
  readonly tenant?: string;
  readonly apiKeyFile?: string;
}

/** A server that commands talk to, and where the session with it is kept. */
export interface Server {
  readonly url: string;
  readonly sessionFile: string;
  readonly anonymous: Api;
}

/** Names the server and the credential; the tenant only where a command acts in one. */
export function withServer(command: Command, context: CliContext): Command {
  return command
    .option(
      '--server <url>',
      context.text(['serveur (défaut : cette installation)', 'server (default: this installation)']),
    )
    .option(
      '--api-key-file <file>',
      context.text([
        'clé d’API, au lieu de la session de « login »',
        "API key, instead of the session of 'login'",
      ]),
    );
}

export function withTenant(command: Command, context: CliContext): Command {
  return withServer(command, context).option(
    '--tenant <tenant>',
    context.text(['client : nom court, nom ou identifiant', 'tenant: slug, name or id']),
  );
}

/** The server that was named, else this installation's, which must be running. */
export function findServer(context: CliContext, flags: { readonly server?: string }): Server {
  const { stateDir } = context.directories;
  const local = findSupervisor(stateDir) === undefined ? undefined : readStatus(stateDir)?.publicUrl;
  const named = flags.server ?? process.env.ATLAS_SERVER ?? local;
  if (named === undefined) {
    throw new CommandError(
      [
        'rien ne tourne ici : ./atlas up, ou nommez un serveur avec --server',
        'nothing is running here: ./atlas up, or name a server with --server',
      ],
      exitCodes.notRunning,
    );
  }
  const url = requireSafeOrigin(named);
  const sessionFile = sessionFileOf(url, { stateDir, isLocal: url === local, env: process.env });
  const anonymous = createApi({ baseUrl: url, token: () => Promise.resolve(null) });
  return { url, sessionFile, anonymous };
}

function readApiKey(flags: ServerFlags): string | undefined {
  const { apiKeyFile } = flags;
  if (apiKeyFile === undefined) return process.env.ATLAS_API_KEY;
  try {
    return readFileSync(apiKeyFile, 'utf8').trim();
  } catch (error) {
    throw new CommandError(
      [`clé d’API illisible : ${apiKeyFile}`, `API key cannot be read: ${apiKeyFile}`],
      exitCodes.usage,
      { detail: `  ${(error as Error).message}`, cause: error },
    );
  }
}

const marginMs = 20_000;

/** The access token of the kept session, renewed when it is about to expire. */
async function sessionToken({ url, sessionFile, anonymous }: Server): Promise<string> {
  const fresh = (): string | undefined => {
    const session = readSession(sessionFile, url);
    const isFresh = session !== undefined && Date.parse(session.accessExpiresAt) - Date.now() > marginMs;
    return isFresh ? session.accessToken : undefined;
  };
  const signInFirst = (): CommandError =>
    new CommandError(
      [`pas de session avec ${url} : ./atlas login`, `no session with ${url}: ./atlas login`],
      exitCodes.refused,
    );
  const kept = fresh();
  if (kept !== undefined) return kept;
  if (readSession(sessionFile, url) === undefined) throw signInFirst();
  return withSessionLock(sessionFile, async () => {
    const meanwhile = fresh();
    if (meanwhile !== undefined) return meanwhile;
    const session = readSession(sessionFile, url);
    if (session === undefined) throw signInFirst();
    const { identity } = await anonymous.call('getBootstrap', {});
    const renewed = await renewSession(await findProvider(url, identity), session);
    if (renewed === null) {
      removeSession(sessionFile);
      throw signInFirst();
    }
    writeSession(sessionFile, renewed);
    return renewed.accessToken;
  });
}

/** The API as the holder of the API key or of the session sees it. */
export function connect(context: CliContext, flags: ServerFlags): Api {
  const server = findServer(context, flags);
  const apiKey = readApiKey(flags);
  const token = apiKey === undefined ? () => sessionToken(server) : () => Promise.resolve(apiKey);
  return createApi({ baseUrl: server.url, token });
}

/** The tenant that was named by slug, name or id; the only one when none was. */
export async function findTenant(api: Api, flags: ServerFlags): Promise<string> {
  const wanted = flags.tenant ?? process.env.ATLAS_TENANT;
  const { items } = await api.call('listTenants', { query: { limit: 200 } });
  const chosen =
    wanted === undefined ? items : items.filter(({ id, slug, name }) => [id, slug, name].includes(wanted));
  const [only] = chosen;
  if (only !== undefined && chosen.length === 1) return only.id;
  const known = items.map(({ slug }) => slug).join(', ') || '—';
  throw new CommandError(
    wanted === undefined
      ? [`quel client ? --tenant : ${known}`, `which tenant? --tenant: ${known}`]
      : [`client inconnu : ${wanted} ; il y a ${known}`, `unknown tenant: ${wanted}; there are ${known}`],
    exitCodes.usage,
  );
}

/** The API and the tenant in which a command acts. */
export async function openTenant(
  context: CliContext,
  flags: ServerFlags,
): Promise<{ readonly api: Api; readonly tenantId: string }> {
  const api = connect(context, flags);
  return { api, tenantId: await findTenant(api, flags) };
}
