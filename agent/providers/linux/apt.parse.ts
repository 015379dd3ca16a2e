import type { ResultCode } from '#contract/results.ts';

/** One line `Inst` of `apt-get --simulate`. */
export interface SimulatedInstall {
  readonly name: string;
  readonly arch: string;
  /** Version in place; null when the package is new. */
  readonly fromVersion: string | null;
  readonly version: string;
  readonly origins: readonly string[];
}

export interface Simulation {
  readonly installs: readonly SimulatedInstall[];
  readonly removals: readonly string[];
}

const installLine =
  /^Inst (?<name>[^\s:]+)(?::(?<foreign>\S+))?(?: \[(?<from>[^\]]+)\])? \((?<version>\S+) (?<origins>.*?)\s*\[(?<arch>[a-z0-9-]+)\]\)/;

/** Reads a simulation; lines that are not about installing or removing are left out. */
export function parseSimulation(text: string): Simulation {
  const installs: SimulatedInstall[] = [];
  const removals: string[] = [];
  for (const line of text.split('\n')) {
    const removed = /^(?:Remv|Purg) (\S+)/.exec(line)?.[1];
    if (removed !== undefined) removals.push(removed);
    const groups = installLine.exec(line)?.groups;
    if (groups === undefined) continue;
    installs.push({
      name: groups['name'] ?? '',
      arch: groups['arch'] ?? '',
      fromVersion: groups['from'] ?? null,
      version: groups['version'] ?? '',
      origins: (groups['origins'] ?? '')
        .split(',')
        .map((origin) => origin.trim())
        .filter((origin) => origin !== ''),
    });
  }
  return { installs, removals };
}

/** Security updates come from a suite or an archive that says so: `Debian-Security:…`, `…/noble-security`. */
export function isSecurityOrigin(origins: readonly string[]): boolean {
  return origins.some((origin) => /-security\b/i.test(origin));
}

/** What the signed index says about one version of one package. */
export interface IndexEntry {
  readonly name: string;
  readonly version: string;
  readonly arch: string;
  readonly sizeBytes: number;
  readonly sha256: string | null;
}

/** Reads the stanzas of `apt-cache show`; continuation lines belong to fields that nobody here asks for. */
export function parseIndex(text: string): IndexEntry[] {
  return text.split(/\n\s*\n/).flatMap((stanza): IndexEntry[] => {
    const field = (name: string) => new RegExp(`^${name}: (.+)$`, 'm').exec(stanza)?.[1]?.trim();
    const [name, version, arch] = [field('Package'), field('Version'), field('Architecture')];
    if (name === undefined || version === undefined || arch === undefined) return [];
    const sha256 = field('SHA256')?.toLowerCase() ?? '';
    return [
      {
        name,
        version,
        arch,
        sizeBytes: Number(field('Size') ?? 0) || 0,
        sha256: /^[0-9a-f]{64}$/.test(sha256) ? sha256 : null,
      },
    ];
  });
}

/** One line of `APT::Status-Fd`: `pmstatus:nginx:45.2:Unpacking nginx`. */
export interface StatusLine {
  readonly kind: string;
  readonly item: string;
  readonly percent: number | null;
  readonly text: string;
}

export function parseStatusLine(line: string): StatusLine | null {
  const match = /^(pmstatus|dlstatus|pmerror|pmconffile|media-change):(.*?):([0-9.]+):(.*)$/.exec(line);
  if (match === null) return null;
  const [, kind = '', item = '', percent = '', text = ''] = match;
  const value = Math.round(Number(percent));
  return { kind, item, text, percent: value >= 0 && value <= 100 ? value : null };
}

/** The texts that say something new after `said`: apt repeats a line at every percent. */
export function listNews(said: string, lines: readonly StatusLine[]): readonly string[] {
  return lines.map((line) => line.text).filter((text, at, all) => text !== (at === 0 ? said : all[at - 1]));
}

const faults: readonly [RegExp, ResultCode][] = [
  [/could not get lock|unable to (acquire|lock)|is another process using it/i, 'package_lock_busy'],
  [/dpkg was interrupted|dpkg --configure -a/i, 'dpkg_interrupted'],
  [/enough free space|no space left on device/i, 'no_space'],
  [/hash sum mismatch|unexpected size/i, 'digest_mismatch'],
  [
    /version '.*' for '.*' was not found|unable to locate package|has no installation candidate/i,
    'packages_drifted',
  ],
  [
    /failed to fetch|could not resolve|unable to connect|connection (failed|timed out|refused)|temporary failure/i,
    'network',
  ],
  [/sub-process .*dpkg.* returned an error code|errors were encountered while processing/i, 'package_failed'],
];

/** Names the fault behind apt's exit 100, which means "some error". */
export function classifyAptFault(output: string): ResultCode {
  return faults.find(([pattern]) => pattern.test(output))?.[1] ?? 'package_failed';
}
