import type { PendingUpdate } from '#contract/inventory.ts';
import type { PinnedPackage } from '#contract/verbs.ts';
import { runCommand, tailOf } from '../../src/host/command.ts';
import type {
  InstallOutcome,
  InstallState,
  PackageFault,
  PackageProvider,
} from '../../src/host/packages.port.ts';
import { dnfSecurityKey, parseDnfCheckUpdate, parseDnfSecurity } from './dnf.parse.ts';
import { parseZypperUpdates, readZypperExit } from './zypper.parse.ts';

const refusal: PackageFault = {
  code: 'unsupported',
  detail: 'this agent lists the updates of this package manager and does not install them',
};

/** A package manager that is read and not driven: its host shows its updates, and every change is refused in words. */
abstract class ListingProvider implements PackageProvider {
  abstract readonly name: 'dnf' | 'zypper';
  abstract refresh(signal: AbortSignal): Promise<PackageFault | null>;
  abstract listPending(
    signal: AbortSignal,
  ): Promise<{ updates: PendingUpdate[]; fault: PackageFault | null }>;

  checkReady(): Promise<PackageFault | null> {
    return Promise.resolve(refusal);
  }

  download(): Promise<{ fault: PackageFault | null; bytes: number }> {
    return Promise.resolve({ fault: refusal, bytes: 0 });
  }

  install(): Promise<InstallOutcome> {
    return Promise.resolve({ fault: refusal, changes: [] });
  }

  async installedVersions(packages: readonly PinnedPackage[]): Promise<ReadonlyMap<string, string>> {
    const format = '%{NAME}:%{ARCH}\\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\\n';
    const { stdout } = await runCommand('rpm', ['-q', '--qf', format, ...packages.map((one) => one.name)]);
    const pairs = stdout.split('\n').flatMap((line): [string, string][] => {
      const [key, version] = line.split('\t');
      return key !== undefined && version !== undefined ? [[key, version]] : [];
    });
    return new Map(pairs);
  }

  inspectInstall(): Promise<InstallState> {
    return Promise.resolve('none');
  }
}

/** The part of an update that the package lists do not state: no size, and no digest that people could approve. */
const unstated = { downloadBytes: 0, sha256: null } as const;

export class DnfListing extends ListingProvider {
  readonly name = 'dnf';

  async refresh(signal: AbortSignal): Promise<PackageFault | null> {
    const done = await runCommand('dnf', ['-q', 'makecache'], { signal, timeoutMs: 600_000 });
    return done.exitCode === 0 ? null : { code: 'network', detail: tailOf(done.stderr) };
  }

  async listPending(signal: AbortSignal): Promise<{ updates: PendingUpdate[]; fault: PackageFault | null }> {
    const listed = await runCommand('dnf', ['-q', 'check-update'], { signal, timeoutMs: 600_000 });
    if (listed.exitCode !== 0 && listed.exitCode !== 100)
      return { updates: [], fault: { code: 'network', detail: tailOf(listed.stderr) } };
    const info = await runCommand('dnf', ['-q', 'updateinfo', 'list', '--updates', '--security'], { signal });
    const security = parseDnfSecurity(info.stdout);
    const updates = parseDnfCheckUpdate(listed.stdout).map((update) => ({
      name: update.name,
      arch: update.arch,
      fromVersion: null,
      version: update.version,
      origin: update.repository,
      security: security.has(dnfSecurityKey(update)),
      ...unstated,
    }));
    return { updates, fault: null };
  }
}

export class ZypperListing extends ListingProvider {
  readonly name = 'zypper';

  async refresh(signal: AbortSignal): Promise<PackageFault | null> {
    const done = await runCommand('zypper', ['--non-interactive', 'refresh'], { signal, timeoutMs: 600_000 });
    const meaning = readZypperExit(done.exitCode);
    if (meaning === 'locked') return { code: 'package_lock_busy', detail: tailOf(done.stderr) };
    return meaning === 'failed' || meaning === 'no_rights'
      ? { code: 'network', detail: tailOf(done.stderr) }
      : null;
  }

  async listPending(signal: AbortSignal): Promise<{ updates: PendingUpdate[]; fault: PackageFault | null }> {
    const listed = await runCommand('zypper', ['--non-interactive', 'list-updates'], {
      signal,
      timeoutMs: 600_000,
    });
    if (readZypperExit(listed.exitCode) === 'failed')
      return { updates: [], fault: { code: 'internal', detail: tailOf(listed.stderr) } };
    const updates = parseZypperUpdates(listed.stdout).map((update) => ({
      name: update.name,
      arch: update.arch,
      fromVersion: update.fromVersion,
      version: update.version,
      origin: update.repository,
      // zypper calls patches security-relevant, not packages; only a repository's own name tells here.
      security: /security/i.test(update.repository),
      ...unstated,
    }));
    return { updates, fault: null };
  }
}
