import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { MachineAptSettings } from './apt-sources.ts';
import { pollUntil } from './command.ts';
import { LabError } from './lab.errors.ts';
import type { LabPaths } from './lab-paths.ts';
import { readRecord, writeRecord } from './lab-record.ts';
import type { DistributionSources } from './lab-record.ts';
import { findProcesses, getProcessIdentity, isSameProcessAlive, killProcess } from './process-identity.ts';
import type { ProcessIdentity } from './process-identity.ts';

interface MirrorRecord extends ProcessIdentity {
  port: number;
}

/** Where the mirror listens and what it may fetch. */
export interface MirrorSettings {
  address: string;
  /** The port hosts were told before, or 0 for a new lab. */
  port: number;
  cacheDir: string;
  sources: DistributionSources;
  settings: MachineAptSettings;
}

const mirrorProgram = join(import.meta.dirname, 'mirror.main.ts');
const startTimeoutMs = 10_000;

function readListeningPort(logFile: string): number | undefined {
  const line = /^\{.*"port":(\d+).*\}$/m.exec(readFileSync(logFile, 'utf8'));
  return line?.[1] === undefined ? undefined : Number(line[1]);
}

/** Starts the lab's mirror unless it runs already, and returns its port; it goes on after this process ends. */
export async function ensureMirror(paths: LabPaths, wanted: MirrorSettings): Promise<number> {
  const running = readRecord<MirrorRecord>(paths.mirrorFile);
  if (running !== undefined && isSameProcessAlive(running)) return running.port;
  mkdirSync(paths.rootDir, { recursive: true });
  const options = {
    address: wanted.address,
    port: wanted.port,
    repositoryDir: paths.repositoryDir,
    cacheDir: join(wanted.cacheDir, 'lab-packages'),
    upstreamHosts: [wanted.sources.releaseUri, wanted.sources.securityUri].map((uri) => new URL(uri).host),
    upstreamProxy: wanted.settings.httpProxy,
  };
  const log = openSync(paths.mirrorLogFile, 'w');
  const child = spawn(process.execPath, [mirrorProgram, JSON.stringify(options)], {
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  child.unref();
  const port = await pollUntil(() => readListeningPort(paths.mirrorLogFile), startTimeoutMs);
  const identity = child.pid === undefined ? undefined : getProcessIdentity(child.pid);
  if (port === undefined || identity === undefined) {
    throw new LabError('command_failed', `mirror: ${readFileSync(paths.mirrorLogFile, 'utf8')}`);
  }
  writeRecord(paths.mirrorFile, { ...identity, port });
  return port;
}

/** Ends the mirror, also one whose record is lost; its downloads stay in the cache. */
export async function stopMirror(paths: LabPaths): Promise<void> {
  for (const mirror of findProcesses(mirrorProgram, JSON.stringify(paths.repositoryDir))) {
    killProcess(mirror, 'SIGKILL');
    await pollUntil(() => (isSameProcessAlive(mirror) ? undefined : true), 5000);
  }
  rmSync(paths.mirrorFile, { force: true });
}
