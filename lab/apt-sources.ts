import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { requireCommand, runCommand } from './command.ts';
import { LabError } from './lab.errors.ts';
import type { DistributionSources } from './lab-record.ts';

/** One repository of apt: where it is and which suites are taken from it. */
export interface AptSource {
  uri: string;
  suites: string[];
}

/** Debian suite of the lab hosts. */
export const labSuite = 'bookworm';

/** Repositories named in the one-line format, `deb [options] uri suite components` (sources.list(5)). */
export function parseOneLineSources(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const line of text.split('\n')) {
    const match = /^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)/.exec(line);
    if (match?.[1] !== undefined && match[2] !== undefined)
      sources.push({ uri: match[1], suites: [match[2]] });
  }
  return sources;
}

/** Repositories named in the deb822 format: stanzas with `Types`, `URIs` and `Suites`; comments are left out. */
export function parseDeb822Sources(text: string): AptSource[] {
  const stanzas = text.replaceAll(/^#.*\n?/gm, '').split(/\n\s*\n/);
  return stanzas.flatMap((stanza) => {
    const words = (field: string): string[] =>
      new RegExp(`^${field}:[ \\t]*(.*(?:\\n[ \\t]+.*)*)`, 'im')
        .exec(stanza)?.[1]
        ?.split(/\s+/)
        .filter(Boolean) ?? [];
    if (!words('Types').includes('deb') || words('Enabled')[0] === 'no') return [];
    return words('URIs').map((uri) => ({ uri, suites: words('Suites') }));
  });
}

/** The repositories that carry a Debian release and its security updates, or undefined when one is missing. */
export function selectDistribution(sources: AptSource[], codename: string): DistributionSources | undefined {
  const find = (suite: string): string | undefined =>
    sources.find((source) => source.suites.includes(suite))?.uri;
  const releaseUri = find(codename);
  const securityUri = find(`${codename}-security`);
  if (releaseUri === undefined || securityUri === undefined) return undefined;
  return { suite: labSuite, releaseUri, securityUri };
}

function readMachineSources(): AptSource[] {
  const dir = '/etc/apt/sources.list.d';
  const files = existsSync(dir) ? readdirSync(dir).map((name) => join(dir, name)) : [];
  return ['/etc/apt/sources.list', ...files].filter(existsSync).flatMap((file) => {
    const text = readFileSync(file, 'utf8');
    if (file.endsWith('.sources')) return parseDeb822Sources(text);
    return file.endsWith('.list') ? parseOneLineSources(text) : [];
  });
}

/** The mirrors that mmdebstrap itself would use; it is stopped before it downloads anything. */
async function askDefaultSources(): Promise<AptSource[]> {
  const result = await runCommand('mmdebstrap', [
    '--mode=root',
    '--variant=essential',
    '--setup-hook=cat "$1/etc/apt/sources.list" >&2; false',
    labSuite,
    '/dev/null',
  ]);
  return parseOneLineSources(result.stderr);
}

/**
 * Where the lab's Debian comes from: the machine's own repositories when it is a Debian itself, otherwise the
 * defaults of mmdebstrap. Throws `no_mirror`.
 */
export async function findDistributionSources(): Promise<DistributionSources> {
  const osRelease = readFileSync('/etc/os-release', 'utf8');
  const codename = /^VERSION_CODENAME=(\S+)$/m.exec(osRelease)?.[1];
  if (/^ID=debian$/m.test(osRelease) && codename !== undefined) {
    const own = selectDistribution(readMachineSources(), codename);
    if (own !== undefined) return own;
  }
  const byDefault = selectDistribution(await askDefaultSources(), labSuite);
  if (byDefault === undefined) throw new LabError('no_mirror', labSuite);
  return byDefault;
}

/** Settings of the machine's apt that decide whether a repository can be reached or believed here. */
export interface MachineAptSettings {
  /** Lines of apt.conf for the hosts. */
  lines: string[];
  /** The machine's own HTTP proxy, used by the lab's mirror in turn. */
  httpProxy: string | undefined;
}

const inheritedSetting =
  /^(Acquire::(Check-Valid-Until|Check-Date|Retries|Languages|Max-FutureTime)) "(.*)";$/;

/** Reads the settings above from `apt-config dump`. */
export function parseAptSettings(dump: string): MachineAptSettings {
  const lines = dump.split('\n').filter((line) => inheritedSetting.test(line));
  const httpProxy = /^Acquire::http::Proxy "(http:.+)";$/m.exec(dump)?.[1];
  return { lines, httpProxy };
}

/** Settings of this machine's apt for its lab. */
export async function readAptSettings(): Promise<MachineAptSettings> {
  return parseAptSettings(await requireCommand('apt-config', ['dump']));
}
