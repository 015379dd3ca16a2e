import { readFile } from 'node:fs/promises';
import { runCommand } from './command.ts';

/** Identifier of this boot of the kernel (or container): the only proof of a restart. */
export async function readBootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
}

/** When this boot began, from the clock and the age of process 1, which is right in containers too. */
export async function readBootedAt(): Promise<string> {
  const [stat, uptime] = await Promise.all([
    readFile('/proc/1/stat', 'utf8'),
    readFile('/proc/uptime', 'utf8'),
  ]);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const startedS = Number(fields[19]) / 100;
  const ageS = Math.max(0, Number(uptime.split(' ')[0]) - startedS);
  return new Date(Date.now() - ageS * 1000).toISOString();
}

/** Asks the service manager for a restart of the host. */
export async function requestReboot(): Promise<string | null> {
  const done = await runCommand('systemctl', ['reboot'], { timeoutMs: 30_000 });
  return done.exitCode === 0 ? null : done.stderr;
}

/** Waits until the service manager has finished starting the host. @returns its last word. */
export async function waitForSystem(limitMs: number): Promise<string> {
  const untilMs = Date.now() + limitMs;
  for (;;) {
    const { stdout } = await runCommand('systemctl', ['is-system-running'], { timeoutMs: 10_000 });
    const state = stdout.trim();
    if (!['initializing', 'starting', ''].includes(state) || Date.now() > untilMs) return state;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}
