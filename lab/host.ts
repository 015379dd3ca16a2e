import { existsSync, readFileSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { pollUntil } from './command.ts';
import type { CommandOptions, CommandResult } from './command.ts';
import {
  execInHost,
  findSupervisor,
  killHost,
  readCondition,
  readLastWords,
  startSupervisor,
  stopHost,
  waitForBoot,
} from './host-process.ts';
import { LabError } from './lab.errors.ts';
import type { LabStep } from './lab-story.ts';
import type { LabPaths } from './lab-paths.ts';
import { getHostPaths, writeRecord } from './lab-record.ts';
import type { HostRecord, NetworkCondition } from './lab-record.ts';
import { applyCondition } from './network.ts';
import { findLeader } from './process-identity.ts';

/** What can be said of a host without believing it: seen from the machine. */
export interface HostStatus {
  name: string;
  address: string;
  state: 'running' | 'booting' | 'off';
  bootId: string | null;
  /** How many times it has been started or rebooted since it was made. */
  boots: number;
  network: NetworkCondition;
}

/** How an agent gets onto a host: the package as built and the one line an administrator would paste. */
export interface AgentInstallation {
  debPath: string;
  enrolLine: string;
}

/** One real Debian machine of the lab. */
export interface LabHost {
  readonly name: string;
  readonly address: string;
  /** The host's console log on the machine. */
  readonly consoleFile: string;
  /** Starts it and waits until its boot is over. */
  start(): Promise<void>;
  /** Shuts it down in good order. */
  stop(): Promise<void>;
  /** Takes its power away. */
  kill(): Promise<void>;
  /** Runs a shell line (text) or a program (list) as its root; a failure is an answer, not an exception. */
  exec(command: string | readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /** Copies a file of the machine into it. */
  copyIn(localPath: string, hostPath: string, mode?: string): Promise<void>;
  /** Identity of the present boot, as the host itself reads it. */
  bootId(): Promise<string>;
  /** Waits until it is up with another boot identity than `previousBootId`, and returns the new one. */
  waitForReboot(previousBootId: string, timeoutMs?: number): Promise<string>;
  /** Pulls the cable so that nothing notices at once; lasts until healed, also over reboots. */
  cutNetwork(): Promise<void>;
  /** Undoes a cut and a slow-down. */
  healNetwork(): Promise<void>;
  /** Limits what it receives (kilobits a second) and drops a part of what it sends (percent). */
  slowNetwork(limits: { rateKbit: number; lossPercent: number }): Promise<void>;
  /** Fills its disk until `leaveMib` mebibytes are left. */
  fillDisk(leaveMib?: number): Promise<void>;
  freeDisk(): Promise<void>;
  status(): Promise<HostStatus>;
  installAgent(installation: AgentInstallation): Promise<CommandResult>;
}

const fillerFile = '/var/lab-filler';
const rebootTimeoutMs = 90_000;

/** Runs a line that has to succeed on a host; throws `command_failed` with what the host said. */
async function requireOnHost(host: LabHost, line: string, input?: Buffer): Promise<CommandResult> {
  const result = await host.exec(line, input === undefined ? {} : { input });
  if (result.exitCode === 0) return result;
  const said = `${result.stdout}\n${result.stderr}`.trim().split('\n').slice(-5).join('\n');
  throw new LabError('command_failed', `${host.name}: ${line} → ${result.exitCode}\n${said}`);
}

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

async function installAgentOn(host: LabHost, installation: AgentInstallation): Promise<CommandResult> {
  const target = `/root/${basename(installation.debPath)}`;
  await host.copyIn(installation.debPath, target);
  await requireOnHost(
    host,
    `apt-get install --yes --no-install-recommends ${quote(target)} && rm ${quote(target)}`,
  );
  return requireOnHost(host, installation.enrolLine);
}

function countBoots(bootsFile: string): number {
  return existsSync(bootsFile) ? readFileSync(bootsFile, 'utf8').trim().split('\n').length : 0;
}

async function readStatus(paths: LabPaths, record: HostRecord): Promise<HostStatus> {
  const supervisor = findSupervisor(paths, record.name);
  const leader = supervisor === undefined ? undefined : findLeader(supervisor.pid);
  const call = { argv: ['cat', '/proc/sys/kernel/random/boot_id'], options: { timeoutMs: 5000 } };
  // The host may go down between two looks; then it has no boot identity to show.
  const answer =
    leader === undefined ? undefined : await execInHost(paths, record.name, call).catch(() => undefined);
  const bootId = answer?.exitCode === 0 ? answer.stdout.trim() : null;
  const whenOn = bootId === null ? 'booting' : 'running';
  return {
    name: record.name,
    address: record.address,
    state: supervisor === undefined ? 'off' : whenOn,
    bootId,
    boots: countBoots(getHostPaths(paths, record.name).bootsFile),
    network: readCondition(paths, record.name),
  };
}

/** What a host needs from its lab. */
export interface HostContext {
  paths: LabPaths;
  log: (step: LabStep) => void;
}

type PowerControls = Pick<LabHost, 'start' | 'stop' | 'kill' | 'bootId' | 'waitForReboot'>;

function createPowerControls({ paths, log }: HostContext, record: HostRecord): PowerControls {
  const { name, address } = record;
  const bootId = async (): Promise<string> => {
    const argv = ['cat', '/proc/sys/kernel/random/boot_id'];
    return (await execInHost(paths, name, { argv, options: {} })).stdout.trim();
  };
  return {
    bootId,
    async start() {
      if (findSupervisor(paths, name) !== undefined) return waitForBoot(paths, name);
      const startedAt = performance.now();
      await startSupervisor(paths, record);
      await waitForBoot(paths, name);
      log({ kind: 'host_started', name, address, seconds: (performance.now() - startedAt) / 1000 });
    },
    async stop() {
      await stopHost(paths, record);
      log({ kind: 'host_stopped', name });
    },
    kill: async () => killHost(paths, record),
    async waitForReboot(previousBootId, timeoutMs = rebootTimeoutMs) {
      const seen = await pollUntil(async () => {
        const status = await readStatus(paths, record);
        return status.bootId === null || status.bootId === previousBootId ? undefined : status.bootId;
      }, timeoutMs);
      if (seen === undefined) {
        const words = await readLastWords(paths, name);
        throw new LabError('boot_timeout', `${name}: no reboot within ${timeoutMs} ms; ${words}`);
      }
      await waitForBoot(paths, name, timeoutMs);
      return seen;
    },
  };
}

type NetworkControls = Pick<LabHost, 'cutNetwork' | 'healNetwork' | 'slowNetwork'>;

function createNetworkControls({ paths }: HostContext, record: HostRecord): NetworkControls {
  const change = async (condition: NetworkCondition): Promise<void> => {
    writeRecord(getHostPaths(paths, record.name).networkFile, condition);
    if (findSupervisor(paths, record.name) !== undefined)
      await applyCondition(paths, record.index, condition);
  };
  return {
    cutNetwork: async () => change({ ...readCondition(paths, record.name), cut: true }),
    healNetwork: async () => change({ cut: false, slow: null }),
    slowNetwork: async (slow) => change({ ...readCondition(paths, record.name), slow }),
  };
}

/** The controls of one host that was made before. */
export function createHost(context: HostContext, record: HostRecord): LabHost {
  const { paths, log } = context;
  const { name, address } = record;
  const host: LabHost = {
    name,
    address,
    consoleFile: getHostPaths(paths, name).consoleFile,
    ...createPowerControls(context, record),
    ...createNetworkControls(context, record),
    async exec(command, options = {}) {
      const argv = typeof command === 'string' ? ['sh', '-c', command] : command;
      return execInHost(paths, name, { argv, options });
    },
    async copyIn(localPath, hostPath, mode = '0644') {
      const content = await readFile(localPath);
      const part = quote(`${hostPath}.part`);
      const line = `mkdir -p ${quote(dirname(hostPath))} && cat >${part} && chmod ${quote(mode)} ${part}`;
      await requireOnHost(host, `${line} && mv ${part} ${quote(hostPath)}`, content);
    },
    async fillDisk(leaveMib = 16) {
      const available = "df --output=avail -B1M / | tail -n 1 | tr -d ' '";
      await requireOnHost(host, `fallocate -l $(($(${available}) - ${leaveMib}))M ${fillerFile} && sync`);
    },
    async freeDisk() {
      await requireOnHost(host, `rm -f ${fillerFile} && sync`);
    },
    status: async () => readStatus(paths, record),
    async installAgent(installation) {
      const answer = await installAgentOn(host, installation);
      log({ kind: 'agent_installed', name });
      return answer;
    },
  };
  return host;
}

/** Forgets a host and removes its disk; it is powered off first. */
export async function removeHost(paths: LabPaths, record: HostRecord): Promise<void> {
  await killHost(paths, record);
  rmSync(getHostPaths(paths, record.name).dir, { recursive: true, force: true });
}
