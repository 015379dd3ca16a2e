import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chown, mkdir, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { PendingUpdate } from '#contract/inventory.ts';
import type { PinnedPackage } from '#contract/verbs.ts';
import { runCommand, tailOf } from '../../src/host/command.ts';
import type { CommandOptions, CommandOutput } from '../../src/host/command.ts';
import type {
  InstalledChange,
  InstallOutcome,
  InstallState,
  PackageFault,
  PackageOperation,
  PackageProvider,
} from '../../src/host/packages.port.ts';
import {
  classifyAptFault,
  isSecurityOrigin,
  listNews,
  parseIndex,
  parseSimulation,
  parseStatusLine,
} from './apt.parse.ts';
import type { SimulatedInstall } from './apt.parse.ts';
import { startDetached, waitForLeftover } from './detachedProcess.ts';

const aptEnvironment = { DEBIAN_FRONTEND: 'noninteractive', NEEDRESTART_MODE: 'l', LC_ALL: 'C' };
const defaultArchives = '/var/cache/atlas-agent/archives';
/** Seconds to wait for somebody else's hold on dpkg. */
const lockTimeoutS = 120;

const baseOptions = [
  '-o',
  `DPkg::Lock::Timeout=${lockTimeoutS}`,
  '-o',
  'APT::Install-Recommends=false',
  '-o',
  'Dpkg::Use-Pty=0',
];

const keyOf = (one: { name: string; arch: string }) => `${one.name}:${one.arch}`;
const pinOf = (one: PinnedPackage) => `${keyOf(one)}=${one.version}`;

function faultOf(output: CommandOutput): PackageFault {
  const text = `${output.stdout}\n${output.stderr}`;
  return { code: classifyAptFault(text), detail: tailOf(output.stderr || output.stdout) };
}

async function sha256OfFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** Name of a package's file in apt's cache: the epoch's colon is escaped. */
function archiveName(one: PinnedPackage): string {
  return `${one.name}_${one.version.replaceAll(':', '%3a')}_${one.arch}.deb`;
}

function differences(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
  packages: readonly PinnedPackage[],
): InstalledChange[] {
  return packages.flatMap((one) => {
    const [from, to] = [before.get(keyOf(one)) ?? null, after.get(keyOf(one)) ?? null];
    return from === to ? [] : [{ name: one.name, from, to }];
  });
}

/** Debian and Ubuntu. Everything goes through apt with exact versions; nothing outside the approved set may change. */
export class AptProvider implements PackageProvider {
  readonly name = 'apt';
  readonly #archives: string;

  constructor(archives = defaultArchives) {
    this.#archives = archives;
  }

  #apt(args: readonly string[], options: CommandOptions = {}): Promise<CommandOutput> {
    return runCommand('apt-get', [...baseOptions, ...args], {
      timeoutMs: 900_000,
      ...options,
      env: aptEnvironment,
    });
  }

  async refresh(signal: AbortSignal): Promise<PackageFault | null> {
    // A list that could not be read again must not pass for a fresh one.
    const output = await this.#apt(['-o', 'APT::Update::Error-Mode=any', '-q', 'update'], { signal });
    return output.exitCode === 0 ? null : faultOf(output);
  }

  async listPending(signal: AbortSignal): Promise<{ updates: PendingUpdate[]; fault: PackageFault | null }> {
    const output = await this.#apt(['--simulate', '-o', 'Debug::NoLocking=1', 'upgrade', '--with-new-pkgs'], {
      signal,
    });
    if (output.exitCode !== 0) return { updates: [], fault: faultOf(output) };
    const { installs } = parseSimulation(output.stdout);
    const index = await this.#readIndex(installs);
    const updates = installs.map((one): PendingUpdate => {
      const entry = index.get(`${keyOf(one)}=${one.version}`);
      return {
        name: one.name,
        arch: one.arch,
        fromVersion: one.fromVersion,
        version: one.version,
        origin: one.origins.join(', ').slice(0, 300) || 'local',
        security: isSecurityOrigin(one.origins),
        downloadBytes: entry?.sizeBytes ?? 0,
        sha256: entry?.sha256 ?? null,
      };
    });
    return { updates, fault: null };
  }

  async #readIndex(installs: readonly SimulatedInstall[]) {
    const found = new Map<string, { sizeBytes: number; sha256: string | null }>();
    for (let from = 0; from < installs.length; from += 200) {
      const batch = installs.slice(from, from + 200).map((one) => `${one.name}=${one.version}`);
      const output = await runCommand('apt-cache', ['show', '--no-all-versions', ...batch], {
        timeoutMs: 120_000,
      });
      for (const entry of parseIndex(output.stdout)) found.set(`${keyOf(entry)}=${entry.version}`, entry);
    }
    return found;
  }

  async checkReady(): Promise<PackageFault | null> {
    const audit = await runCommand('dpkg', ['--audit']);
    if (audit.exitCode !== 0 || audit.stdout.trim() !== '')
      return { code: 'dpkg_interrupted', detail: tailOf(audit.stdout || audit.stderr) };
    const updates = await readdir('/var/lib/dpkg/updates').catch(() => []);
    if (updates.some((name) => /^\d+$/.test(name)))
      return { code: 'dpkg_interrupted', detail: 'dpkg was interrupted: its journal holds unfinished work' };
    const output = await runCommand('apt-get', ['-o', 'DPkg::Lock::Timeout=20', 'check'], {
      env: aptEnvironment,
    });
    return output.exitCode === 0 ? null : faultOf(output);
  }

  /** The approved packages that are not in place yet; a fault when apt would change anything else. */
  async #planInstall(
    packages: readonly PinnedPackage[],
  ): Promise<{ missing: PinnedPackage[]; fault: PackageFault | null }> {
    const versions = await this.installedVersions(packages);
    const missing = packages.filter((one) => versions.get(keyOf(one)) !== one.version);
    if (missing.length === 0) return { missing, fault: null };
    const output = await this.#apt([
      '--simulate',
      '-o',
      'Debug::NoLocking=1',
      'install',
      ...missing.map(pinOf),
    ]);
    if (output.exitCode !== 0) return { missing, fault: faultOf(output) };
    const { installs, removals } = parseSimulation(output.stdout);
    const approved = new Set(missing.map(pinOf));
    const extra = installs
      .filter((one) => !approved.has(`${keyOf(one)}=${one.version}`))
      .map((one) => `${one.name} ${one.version}`);
    const drift = [
      ...extra.map((one) => `would also install ${one}`),
      ...removals.map((one) => `would remove ${one}`),
    ];
    if (installs.length - extra.length < missing.length)
      drift.push('would not install the whole approved set');
    return {
      missing,
      fault:
        drift.length === 0 ? null : { code: 'packages_drifted', detail: drift.join('; ').slice(0, 2000) },
    };
  }

  async #checkDigests(packages: readonly PinnedPackage[]): Promise<PackageFault | null> {
    for (const one of packages) {
      const file = path.join(this.#archives, archiveName(one));
      const digest = await sha256OfFile(file).catch(() => null);
      if (digest === null)
        return { code: 'digest_mismatch', detail: `${archiveName(one)} is not in the cache` };
      if (digest !== one.sha256) {
        await rm(file, { force: true });
        return { code: 'digest_mismatch', detail: `${archiveName(one)} is not the approved file` };
      }
    }
    return null;
  }

  async #prepareArchives(): Promise<void> {
    const partial = path.join(this.#archives, 'partial');
    await mkdir(partial, { recursive: true, mode: 0o755 });
    const passwd = await runCommand('getent', ['passwd', '_apt']);
    const uid = Number(passwd.stdout.split(':')[2]);
    // apt fetches as an unprivileged user where the system has one.
    if (passwd.exitCode === 0 && Number.isInteger(uid)) await chown(partial, uid, 0);
  }

  async download(operation: PackageOperation): Promise<{ fault: PackageFault | null; bytes: number }> {
    const { missing, fault } = await this.#planInstall(operation.packages);
    if (fault !== null || missing.length === 0) return { fault, bytes: 0 };
    await this.#prepareArchives();
    const done = await this.#runApt(
      operation,
      ['--download-only', 'install', ...missing.map(pinOf)],
      'download',
    );
    if (done !== null) return { fault: done, bytes: 0 };
    const digests = await this.#checkDigests(missing);
    const sizes = await Promise.all(
      missing.map((one) =>
        stat(path.join(this.#archives, archiveName(one))).then(
          (file) => file.size,
          () => 0,
        ),
      ),
    );
    return { fault: digests, bytes: sizes.reduce((sum, size) => sum + size, 0) };
  }

  async install(operation: PackageOperation): Promise<InstallOutcome> {
    const ready = await this.checkReady();
    if (ready !== null) return { fault: ready, changes: [] };
    const { missing, fault } = await this.#planInstall(operation.packages);
    if (fault !== null || missing.length === 0) return { fault, changes: [] };
    const digests = await this.#checkDigests(missing);
    const fetched = digests === null ? null : (await this.download(operation)).fault;
    if (fetched !== null) return { fault: fetched, changes: [] };
    const before = await this.installedVersions(operation.packages);
    const automatic = await this.#readAutomatic();
    const failed = await this.#runApt(
      operation,
      ['--no-download', 'install', ...missing.map(pinOf)],
      'install',
    );
    await this.#restoreAutomatic(missing, automatic);
    const changes = differences(before, await this.installedVersions(operation.packages), operation.packages);
    return { fault: failed, changes };
  }

  /** `install` marks what it touches as chosen by hand; the marks of before are put back. */
  async #readAutomatic(): Promise<ReadonlySet<string>> {
    const output = await runCommand('apt-mark', ['showauto'], { env: aptEnvironment });
    return new Set(output.stdout.split('\n').filter((line) => line !== ''));
  }

  async #restoreAutomatic(packages: readonly PinnedPackage[], automatic: ReadonlySet<string>): Promise<void> {
    const wasAutomatic = packages.filter(
      (one) => one.fromVersion === null || automatic.has(one.name) || automatic.has(keyOf(one)),
    );
    if (wasAutomatic.length > 0)
      await runCommand('apt-mark', ['auto', ...wasAutomatic.map((one) => one.name)], { env: aptEnvironment });
  }

  /** Runs apt so that it survives this program: cutting dpkg short is worse than any late answer. */
  async #runApt(
    operation: PackageOperation,
    args: readonly string[],
    phase: string,
  ): Promise<PackageFault | null> {
    const options = [
      ...baseOptions,
      '-y',
      '-o',
      'Dpkg::Options::=--force-confdef',
      '-o',
      'Dpkg::Options::=--force-confold',
      '-o',
      `Dir::Cache::archives=${this.#archives}`,
      '-o',
      'APT::Keep-Downloaded-Packages=true',
      '-o',
      'APT::Status-Fd=3',
    ];
    let said = '';
    const end = await startDetached({
      program: 'apt-get',
      args: [...options, ...args],
      env: aptEnvironment,
      directory: operation.workDirectory,
      label: phase,
      signal: operation.signal,
      onStatus: (lines) => {
        const known = lines.map(parseStatusLine).filter((line) => line !== null);
        const last = known.at(-1);
        if (last === undefined) return;
        operation.onProgress(phase, last.percent, listNews(said, known).slice(-20));
        said = last.text;
      },
    });
    if (end.isStillRunning)
      return { code: 'timed_out', detail: `apt is still at work: ${tailOf(end.output, 500)}` };
    if (end.exitCode === 0) return null;
    return { code: classifyAptFault(end.output), detail: tailOf(end.output) };
  }

  async installedVersions(packages: readonly PinnedPackage[]): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    const format = '${Package}:${Architecture}\\t${Version}\\t${db:Status-Abbrev}\\n';
    for (let from = 0; from < packages.length; from += 500) {
      const names = packages.slice(from, from + 500).map((one) => one.name);
      const { stdout } = await runCommand('dpkg-query', ['--show', `--showformat=${format}`, ...names]);
      for (const line of stdout.split('\n')) {
        const [key, version, status] = line.split('\t');
        if (key !== undefined && version !== undefined && status?.trim() === 'ii') found.set(key, version);
      }
    }
    return found;
  }

  async inspectInstall(operation: Omit<PackageOperation, 'onProgress'>): Promise<InstallState> {
    await waitForLeftover(operation.workDirectory, operation.signal);
    const fault = await this.checkReady();
    if (fault?.code === 'dpkg_interrupted') return 'interrupted';
    const versions = await this.installedVersions(operation.packages);
    const inPlace = operation.packages.filter((one) => versions.get(keyOf(one)) === one.version).length;
    if (inPlace === operation.packages.length) return 'all';
    return inPlace === 0 ? 'none' : 'some';
  }
}
