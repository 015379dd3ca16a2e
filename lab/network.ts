import { readFileSync, writeFileSync } from 'node:fs';
import { requireCommand, runCommand } from './command.ts';
import { LabError } from './lab.errors.ts';
import { getHostLink } from './lab-paths.ts';
import type { LabPaths } from './lab-paths.ts';
import type { NetworkCondition } from './lab-record.ts';

const forwardFile = '/proc/sys/net/ipv4/ip_forward';
/** Name of an empty chain that remembers that forwarding was off before the first lab of this machine. */
const forwardWasOff = 'forwarding_was_off';

/** A range of IPv4 addresses as whole numbers, ends included. */
interface AddressRange {
  first: number;
  last: number;
}

/** The range of `10.1.2.0/24`, `10.1.2.3` or `default` (which counts as nothing). */
export function parseRange(text: string): AddressRange | undefined {
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)(?:\/(\d+))?$/.exec(text);
  if (match === null) return undefined;
  const address = match.slice(1, 5).reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - Number(match[5] ?? 32));
  const first = Math.floor(address / size) * size;
  return { first, last: first + size - 1 };
}

/**
 * First three numbers of a /24 that overlaps nothing in `taken` (routes, addresses, name servers). The search starts
 * at a place that depends on the lab, so that two labs started at once rarely meet. Throws `no_free_subnet`.
 */
export function chooseSubnetPrefix(labId: string, taken: readonly string[]): string {
  const ranges = taken.map(parseRange).filter((range) => range !== undefined);
  const start = Number.parseInt(labId.slice(0, 6), 16);
  const choices = 100 * 256;
  for (let step = 0; step < choices; step += 1) {
    const choice = (start + step) % choices;
    const prefix = `10.${100 + Math.floor(choice / 256)}.${choice % 256}`;
    const own = parseRange(`${prefix}.0/24`);
    if (own !== undefined && !ranges.some((range) => range.first <= own.last && own.first <= range.last)) {
      return prefix;
    }
  }
  throw new LabError('no_free_subnet', labId);
}

interface AddressEntry {
  ifname: string;
  mtu?: number;
  addr_info?: { local: string; prefixlen: number }[];
}

/** Everything on this machine that already means an IPv4 address, apart from the bridge of an unfinished lab of ours. */
export async function listTakenRanges(ownBridge: string): Promise<string[]> {
  const routes = JSON.parse(await requireCommand('ip', ['-json', '-4', 'route'])) as {
    dst: string;
    dev?: string;
  }[];
  const links = JSON.parse(await requireCommand('ip', ['-json', '-4', 'address'])) as AddressEntry[];
  const addresses = links.filter((link) => link.ifname !== ownBridge).flatMap((link) => link.addr_info ?? []);
  return [
    ...routes.filter((route) => route.dev !== ownBridge).map((route) => route.dst),
    ...addresses.map((info) => `${info.local}/${info.prefixlen}`),
    ...readNameServers(),
  ];
}

/** Name servers that a host behind the bridge can reach too; a resolver on loopback is replaced by its upstreams. */
export function readNameServers(): string[] {
  for (const file of ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf']) {
    const servers = readTextOrEmpty(file).matchAll(/^nameserver\s+(\S+)/gm);
    const reachable = [...servers]
      .map((match) => match[1] ?? '')
      .filter((server) => !/^(127\.|::1)/.test(server));
    if (reachable.length > 0) return reachable;
  }
  return [];
}

function readTextOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // Absent on machines without that resolver.
    return '';
  }
}

/** Packets no larger than the way out allows, or big downloads would hang behind a narrow uplink. */
async function getUplinkMtu(): Promise<number> {
  const routes = JSON.parse(await requireCommand('ip', ['-json', '-4', 'route', 'show', 'default'])) as {
    dev: string;
  }[];
  const links = JSON.parse(await requireCommand('ip', ['-json', 'link'])) as AddressEntry[];
  return links.find((link) => link.ifname === routes[0]?.dev)?.mtu ?? 1500;
}

async function listLabTables(): Promise<string[]> {
  const result = await runCommand('nft', ['list', 'tables', 'ip']);
  return [...result.stdout.matchAll(/^table ip (atlas_lab_\w+)$/gm)].map((match) => match[1] ?? '');
}

/** Whether forwarding was off before the first lab came; a later lab inherits the answer from the labs it finds. */
async function wasForwardingOff(): Promise<boolean> {
  if (readFileSync(forwardFile, 'utf8').trim() === '0') return true;
  for (const table of await listLabTables()) {
    const chains = await runCommand('nft', ['list', 'table', 'ip', table]);
    if (chains.stdout.includes(forwardWasOff)) return true;
  }
  return false;
}

/** Makes the bridge, its address and the way out; safe to repeat. */
export async function ensureNetwork(paths: LabPaths, subnetPrefix: string): Promise<void> {
  const { bridge, natTable, labId } = paths;
  if ((await runCommand('ip', ['link', 'show', bridge])).exitCode !== 0) {
    // A fixed hardware address: otherwise the bridge takes that of its lowest port and changes it under the hosts.
    const hardwareAddress = `02:a7:${labId.match(/../g)?.join(':') ?? ''}`;
    await requireCommand('ip', ['link', 'add', bridge, 'address', hardwareAddress, 'type', 'bridge']);
  }
  await requireCommand('ip', ['address', 'replace', `${subnetPrefix}.1/24`, 'dev', bridge]);
  await requireCommand('ip', ['link', 'set', bridge, 'mtu', String(await getUplinkMtu()), 'up']);
  const memory = (await wasForwardingOff()) ? `chain ${forwardWasOff} {}` : '';
  const rules = `table ip ${natTable} {}
delete table ip ${natTable}
table ip ${natTable} {
  ${memory}
  chain postrouting {
    type nat hook postrouting priority srcnat
    ip saddr ${subnetPrefix}.0/24 oifname != "${bridge}" masquerade
  }
}
`;
  await requireCommand('nft', ['-f', '-'], { input: rules });
  writeFileSync(forwardFile, '1');
}

/** Takes the bridge, the address translation and, with the last lab, forwarding away; nothing to do is fine too. */
export async function removeNetwork(paths: LabPaths): Promise<void> {
  const own = await runCommand('nft', ['list', 'table', 'ip', paths.natTable]);
  if (own.exitCode === 0) {
    const others = (await listLabTables()).filter((table) => table !== paths.natTable);
    await requireCommand('nft', ['delete', 'table', 'ip', paths.natTable]);
    if (own.stdout.includes(forwardWasOff) && others.length === 0) writeFileSync(forwardFile, '0');
  }
  const links = JSON.parse(await requireCommand('ip', ['-json', 'link'])) as AddressEntry[];
  for (const link of links) {
    const isOwn = link.ifname === paths.bridge || link.ifname.startsWith(`${paths.bridge}-`);
    if (isOwn) await runCommand('ip', ['link', 'delete', link.ifname]);
  }
}

/** Plugs a network card into the host whose supervisor is `supervisorPid`, in the condition the cable is in. */
export async function plugHost(paths: LabPaths, hostIndex: number, supervisorPid: number): Promise<void> {
  const link = getHostLink(paths, hostIndex);
  const mtu = String(await getUplinkMtu());
  await runCommand('ip', ['link', 'delete', link]);
  const peer = ['peer', 'name', 'host0', 'mtu', mtu, 'netns', String(supervisorPid)];
  await requireCommand('ip', ['link', 'add', link, 'mtu', mtu, 'type', 'veth', ...peer]);
  await requireCommand('ip', ['link', 'set', link, 'up']);
}

function impairment(device: string, slow: NonNullable<NetworkCondition['slow']>): string {
  return `table netdev atlas_${device.replace('-', '_')} {
  chain from_host {
    type filter hook ingress device "${device}" priority 0
    numgen random mod 100 < ${slow.lossPercent} drop
  }
}
`;
}

async function removeImpairment(device: string): Promise<void> {
  await runCommand('nft', ['delete', 'table', 'netdev', `atlas_${device.replace('-', '_')}`]);
  await runCommand('tc', ['qdisc', 'delete', 'dev', device, 'root']);
}

/**
 * Puts the cable of a running host into a condition. Cut means a black hole: the card keeps its carrier and packets
 * vanish both ways, which is what software notices last. Slow means a token bucket on what the host receives and
 * random loss on what it sends.
 */
export async function applyCondition(
  paths: LabPaths,
  hostIndex: number,
  condition: NetworkCondition,
): Promise<void> {
  const link = getHostLink(paths, hostIndex);
  await requireCommand('ip', [
    'link',
    'set',
    link,
    ...(condition.cut ? ['nomaster'] : ['master', paths.bridge]),
  ]);
  await removeImpairment(link);
  if (condition.slow === null) return;
  const bucket = ['rate', `${condition.slow.rateKbit}kbit`, 'burst', '16kb', 'latency', '500ms'];
  await requireCommand('tc', ['qdisc', 'add', 'dev', link, 'root', 'tbf', ...bucket]);
  await requireCommand('nft', ['-f', '-'], { input: impairment(link, condition.slow) });
}
