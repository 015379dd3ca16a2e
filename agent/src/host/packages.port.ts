import type { PendingUpdate } from '#contract/inventory.ts';
import type { ResultCode } from '#contract/results.ts';
import type { PinnedPackage } from '#contract/verbs.ts';

/** Why a package operation did not succeed. */
export interface PackageFault {
  readonly code: ResultCode;
  readonly detail: string;
}

/** Words about a running operation, for people. */
export type OnProgress = (phase: string, percent: number | null, lines?: readonly string[]) => void;

export interface PackageOperation {
  readonly packages: readonly PinnedPackage[];
  /** Private directory of this command for logs and status. */
  readonly workDirectory: string;
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
}

export interface InstalledChange {
  readonly name: string;
  readonly from: string | null;
  readonly to: string | null;
}

/** Outcome of an installation: what changed on the disk is told also when it failed. */
export interface InstallOutcome {
  readonly fault: PackageFault | null;
  readonly changes: readonly InstalledChange[];
}

/** How far an interrupted installation got. */
export type InstallState = 'all' | 'none' | 'some' | 'interrupted';

/**
 * One package manager. Implementations read and obey; they decide nothing. A new one is a new file beside the others.
 */
export interface PackageProvider {
  readonly name: 'apt' | 'dnf' | 'zypper';
  /** Reads the repositories anew. */
  refresh(signal: AbortSignal): Promise<PackageFault | null>;
  /** What the package manager would upgrade now. */
  listPending(
    signal: AbortSignal,
  ): Promise<{ readonly updates: readonly PendingUpdate[]; readonly fault: PackageFault | null }>;
  /** Whether an installation could begin: nothing half-installed, nobody else at work. */
  checkReady(): Promise<PackageFault | null>;
  /** Fetches exactly these files and checks their digests. @returns bytes fetched. */
  download(
    operation: PackageOperation,
  ): Promise<{ readonly fault: PackageFault | null; readonly bytes: number }>;
  /** Installs exactly these packages, or nothing. */
  install(operation: PackageOperation): Promise<InstallOutcome>;
  /** Versions in place, by `name:arch`. */
  installedVersions(packages: readonly PinnedPackage[]): Promise<ReadonlyMap<string, string>>;
  /** Judges an installation that nobody saw the end of; waits for a package manager still at work. */
  inspectInstall(operation: Omit<PackageOperation, 'onProgress'>): Promise<InstallState>;
}
