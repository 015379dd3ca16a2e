import { spawn } from 'node:child_process';
import { closeSync, openSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pollUntil, runCommand } from './command.ts';
import type { CommandOptions, CommandResult } from './command.ts';
import { removeCgroups } from './host-cgroup.ts';
import { LabError } from './lab.errors.ts';
import { getHostCgroup } from './lab-paths.ts';
import type { LabPaths } from './lab-paths.ts';
import { getHostPaths, readRecord, readSupervisor, writeRecord } from './lab-record.ts';
import type { HostRecord, NetworkCondition } from './lab-record.ts';
import { applyCondition, plugHost } from './network.ts';
import { findLeader, getProcessIdentity, isSameProcessAlive, killProcess } from './process-identity.ts';
import type { ProcessIdentity } from './process-identity.ts';

const superviseScript = join(import.meta.dirname, 'supervise-host.sh');
const plugTimeoutMs = 5000;
const bootTimeoutMs = 90_000;
const powerOffTimeoutMs = 20_000;
/** A disk still mounted somewhere must not be mounted a second time; on a busy machine the kernel takes its time. */
const releaseTimeoutMs = 30_000;

/** The living supervisor of a host, or undefined when the host is off. */
export function findSupervisor(paths: LabPaths, name: string): ProcessIdentity | undefined {
  const identity = readSupervisor(paths, name);
  return identity !== undefined && isSameProcessAlive(identity) ? identity : undefined;
}

/** The condition of a host's cable; whole when nobody touched it. */
export function readCondition(paths: LabPaths, name: string): NetworkCondition {
  return readRecord<NetworkCondition>(getHostPaths(paths, name).networkFile) ?? { cut: false, slow: null };
}

/**
 * Runs a program inside a host, as its root, in its own mounts, network and processes. The exit status and the output
 * are the answer, whatever they are; throws `host_off` when there is no host to run it in.
 */
export async function execInHost(
  paths: LabPaths,
  name: string,
  call: { argv: readonly string[]; options: CommandOptions },
): Promise<CommandResult> {
  const supervisor = findSupervisor(paths, name);
  const leader = supervisor === undefined ? undefined : findLeader(supervisor.pid);
  if (leader === undefined) throw new LabError('host_off', name);
  const enter = [
    '--target',
    String(leader),
    '--mount',
    '--uts',
    '--ipc',
    '--net',
    '--pid',
    '--cgroup',
    '--wd=/',
  ];
  const environment = [
    'env',
    '--ignore-environment',
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'HOME=/root',
    'LANG=C.UTF-8',
    'DEBIAN_FRONTEND=noninteractive',
  ];
  // nsenter does not fork: it would stop itself for good when the host, on its way down, stops everything for a moment,
  // and the host would then wait for it. So `timeout` stays outside the host's processes and its child is the first
  // inside; killing nsenter from here would leave that child running, so the time limit is kept there too. 0 is none.
  const { timeoutMs, ...rest } = call.options;
  const limit = ['timeout', '--kill-after=2', String((timeoutMs ?? 0) / 1000)];
  const program = [...environment, ...limit, ...call.argv];
  return runCommand('nsenter', [...enter, '--root', '--wd', '--no-fork', '--', ...program], {
    ...rest,
    ...(timeoutMs === undefined ? {} : { timeoutMs: timeoutMs + 5000 }),
  });
}

/** Whether the host's systemd says that its boot is over; a unit that failed does not make it less booted. */
async function isBooted(paths: LabPaths, name: string): Promise<boolean> {
  try {
    const answer = await execInHost(paths, name, {
      argv: ['systemctl', 'is-system-running'],
      options: { timeoutMs: 5000 },
    });
    return ['running', 'degraded'].includes(answer.stdout.trim());
  } catch (error) {
    if (error instanceof LabError && error.code === 'host_off') return false;
    throw error;
  }
}

/** The last words on a host's console, for an error that has to say what happened. */
export async function readLastWords(paths: LabPaths, name: string): Promise<string> {
  const text = await readFile(getHostPaths(paths, name).consoleFile, 'utf8');
  return text.trim().split('\n').slice(-3).join(' / ');
}

/** Waits until the host has finished booting; throws `boot_timeout` with the end of its console. */
export async function waitForBoot(paths: LabPaths, name: string, timeoutMs = bootTimeoutMs): Promise<void> {
  const booted = await pollUntil(async () => ((await isBooted(paths, name)) ? true : undefined), timeoutMs);
  if (booted === undefined)
    throw new LabError('boot_timeout', `${name}: ${await readLastWords(paths, name)}`);
}

/** Starts the supervisor in namespaces of its own and plugs the network card in; does not wait for the boot. */
export async function startSupervisor(paths: LabPaths, host: HostRecord): Promise<void> {
  if (findSupervisor(paths, host.name) !== undefined) return;
  const files = getHostPaths(paths, host.name);
  const console = openSync(files.consoleFile, 'a');
  const namespaces = ['--mount', '--net', '--pid', '--fork', '--kill-child=SIGKILL', '--mount-proc'];
  const cgroup = getHostCgroup(paths.labId, host.index);
  const child = spawn(
    'unshare',
    [...namespaces, 'sh', superviseScript, host.name, files.image, files.mountPoint, files.bootsFile, cgroup],
    { detached: true, stdio: ['ignore', console, console] },
  );
  closeSync(console);
  child.on('error', () => undefined);
  child.unref();
  const identity = child.pid === undefined ? undefined : getProcessIdentity(child.pid);
  if (identity === undefined) throw new LabError('command_failed', `unshare (${host.name})`);
  writeRecord(files.supervisorFile, identity);
  await waitForOwnNetwork(identity, host.name);
  await plugHost(paths, host.index, identity.pid);
  await applyCondition(paths, host.index, readCondition(paths, host.name));
}

async function waitForOwnNetwork(supervisor: ProcessIdentity, name: string): Promise<void> {
  const isApart = async (): Promise<true | undefined> => {
    const [own, theirs] = await Promise.all(
      ['self', String(supervisor.pid)].map((pid) => runCommand('readlink', [`/proc/${pid}/ns/net`])),
    );
    const isOwn = theirs?.exitCode === 0 && theirs.stdout !== own?.stdout;
    return isOwn ? true : undefined;
  };
  if ((await pollUntil(isApart, plugTimeoutMs)) === undefined) {
    throw new LabError('command_failed', `unshare --net (${name})`);
  }
}

async function waitForEnd(supervisor: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const ended = await pollUntil(() => (isSameProcessAlive(supervisor) ? undefined : true), timeoutMs);
  return ended === true;
}

/** Takes the power away at once; the disk stays as it was at that instant. */
export async function killHost(paths: LabPaths, host: HostRecord): Promise<void> {
  const supervisor = findSupervisor(paths, host.name);
  if (supervisor !== undefined) {
    killProcess(supervisor, 'SIGKILL');
    await waitForEnd(supervisor, 5000);
  }
  await releaseDisk(paths, host.name);
  await removeCgroups(getHostCgroup(paths.labId, host.index));
  rmSync(getHostPaths(paths, host.name).supervisorFile, { force: true });
}

/** Waits until the kernel let go of the disk, which it does just after the last process died; then makes sure. */
async function releaseDisk(paths: LabPaths, name: string): Promise<void> {
  const { image } = getHostPaths(paths, name);
  const listDevices = async (): Promise<string[]> => {
    const found = await runCommand('losetup', ['--associated', image, '--noheadings', '--output', 'NAME']);
    return found.stdout.split('\n').filter(Boolean);
  };
  const released = await pollUntil(
    async () => ((await listDevices()).length === 0 ? true : undefined),
    releaseTimeoutMs,
  );
  if (released !== undefined) return;
  for (const device of await listDevices()) await runCommand('losetup', ['--detach', device]);
}

/** Shuts the host down in good order, or takes its power away when it does not end within 20 s. */
export async function stopHost(paths: LabPaths, host: HostRecord): Promise<void> {
  const supervisor = findSupervisor(paths, host.name);
  if (supervisor !== undefined && findLeader(supervisor.pid) !== undefined) {
    await execInHost(paths, host.name, { argv: ['systemctl', 'poweroff'], options: { timeoutMs: 5000 } });
    await waitForEnd(supervisor, powerOffTimeoutMs);
  }
  await killHost(paths, host);
}
