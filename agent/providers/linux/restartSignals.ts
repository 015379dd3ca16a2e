import { appendFile, mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { runCommand } from '../../src/host/command.ts';

/** Why a host should be restarted, and which services run on replaced files. */
export interface RestartSignals {
  readonly isRequired: boolean;
  readonly reasons: readonly string[];
  readonly services: readonly string[];
}

/** Output of `needrestart -b`, of the fields that matter here. */
export interface NeedrestartReport {
  /** 0 unknown, 1 none pending, 2 compatible upgrade pending, 3 version upgrade pending. */
  readonly kernelState: number;
  readonly runningKernel: string | null;
  readonly expectedKernel: string | null;
  readonly services: readonly string[];
}

/** Packages that every running process uses, or that only a restart replaces. */
const corePackages =
  /^(linux-image-.*|libc6|systemd|systemd-sysv|libsystemd0|dbus|dbus-daemon|udev|init|intel-microcode|amd64-microcode)$/;

/** Volatile on purpose: the restart itself clears it. */
const notesFile = '/run/atlas-agent/replaced';

export function parseNeedrestart(text: string): NeedrestartReport {
  const values = (key: string) =>
    text
      .split('\n')
      .flatMap((line) => (line.startsWith(`${key}: `) ? [line.slice(key.length + 2).trim()] : []));
  return {
    kernelState: Number(values('NEEDRESTART-KSTA')[0] ?? 0) || 0,
    runningKernel: values('NEEDRESTART-KCUR')[0] ?? null,
    expectedKernel: values('NEEDRESTART-KEXP')[0] ?? null,
    services: values('NEEDRESTART-SVC'),
  };
}

async function readLines(file: string): Promise<string[]> {
  const text = await readFile(file, 'utf8').catch(() => null);
  return text === null
    ? []
    : text
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line !== '');
}

/** Notes what an installation has replaced, until the next restart. */
export async function noteReplaced(names: readonly string[]): Promise<void> {
  const core = names.filter((name) => corePackages.test(name));
  if (core.length === 0) return;
  await mkdir(path.dirname(notesFile), { recursive: true });
  await appendFile(notesFile, `${core.join('\n')}\n`);
}

/** Reads every signal; one is enough, and each says why. */
export async function readRestartSignals(): Promise<RestartSignals> {
  const reasons: string[] = [];
  const flag = await readFile('/run/reboot-required', 'utf8').catch(() => null);
  if (flag !== null) {
    const packages = await readLines('/run/reboot-required.pkgs');
    reasons.push(
      `the system asks for it${packages.length > 0 ? `: ${[...new Set(packages)].join(', ')}` : ''}`,
    );
  }
  for (const name of new Set(await readLines(notesFile)))
    reasons.push(`${name} was replaced since the last start`);
  const output = await runCommand('needrestart', ['-b', '-r', 'l'], { timeoutMs: 120_000 });
  const report = output.exitCode === 127 ? null : parseNeedrestart(output.stdout);
  if (report !== null && report.kernelState >= 2)
    reasons.push(`kernel ${report.expectedKernel ?? '?'} waits, ${report.runningKernel ?? '?'} runs`);
  return {
    isRequired: reasons.length > 0,
    reasons: reasons.map((reason) => reason.slice(0, 200)).slice(0, 50),
    services: (report?.services ?? []).slice(0, 200),
  };
}
