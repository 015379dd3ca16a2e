import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readJson, writeJson } from '../stack/files.ts';

/** What a terminal keeps between two commands: the file is its owner's alone (0600). */
export interface Session {
  readonly server: string;
  readonly refreshToken: string;
  readonly accessToken: string;
  /** Instant, ISO 8601. */
  readonly accessExpiresAt: string;
}

/** The session with this installation lives in its state directory; those with other servers in the person's own. */
export function sessionFileOf(
  server: string,
  place: { readonly stateDir: string; readonly isLocal: boolean; readonly env: NodeJS.ProcessEnv },
): string {
  if (place.isLocal) return path.join(place.stateDir, 'session.json');
  const state = place.env.XDG_STATE_HOME ?? path.join(os.homedir(), '.local', 'state');
  const name = createHash('sha256').update(server).digest('hex').slice(0, 12);
  return path.join(state, 'atlas', `session-${new URL(server).hostname}-${name}.json`);
}

/** The session that was kept for this server; one of another server is none. */
export function readSession(file: string, server: string): Session | undefined {
  const session = readJson<Session>(file);
  return session?.server === server ? session : undefined;
}

export function writeSession(file: string, session: Session): void {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  writeJson(file, session, 0o600);
}

export function removeSession(file: string): boolean {
  const existed = readJson(file) !== undefined;
  rmSync(file, { force: true });
  return existed;
}

const lockWaitMs = 20_000;
const lockStaleMs = 60_000;

/** One command at a time renews the session: a refresh token serves once, and two uses would end the session. */
export async function withSessionLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  const lock = `${file}.lock`;
  const endAtMs = Date.now() + lockWaitMs;
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || Date.now() > endAtMs) throw error;
      // Left by a command that was killed.
      const made = statSync(lock, { throwIfNoEntry: false });
      if (made !== undefined && Date.now() - made.mtimeMs > lockStaleMs) rmSync(lock, { recursive: true });
      else await sleep(100);
    }
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}
