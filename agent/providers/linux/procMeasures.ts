import { readFile, statfs } from 'node:fs/promises';
import { measures, scales, type Measure } from '#contract/metrics.ts';

/** Codes of one sample, in the order of the contract; null where nothing could be read. */
export type Codes = (number | null)[];

/** Numbers of the kernel that only grow; two readings of them make a rate. */
export interface Counters {
  /** When they were read: milliseconds of a clock that nobody sets. */
  readonly atMs: number;
  readonly busyTicks: number;
  readonly allTicks: number;
  readonly diskBytes: number | null;
  readonly receivedBytes: number | null;
  readonly sentBytes: number | null;
}

/** Numbers that say by themselves how it is now. */
export interface Levels {
  readonly memory: ReadonlyMap<string, number>;
  readonly load1: number | null;
  /** Part of the root file system that is used, 0 to 1. */
  readonly rootUsed: number | null;
}

const sectorBytes = 512;
/** Whole disks. Their partitions, and what is made of them (LVM, RAID, encryption), would count the same bytes again. */
const wholeDisk = /^(?:sd[a-z]+|vd[a-z]+|xvd[a-z]+|hd[a-z]+|nvme\d+n\d+|mmcblk\d+)$/;
/** Interfaces whose bytes pass through another one too, or never leave the host. */
const virtualInterface =
  /^(?:lo|veth|docker|br-|virbr|vnet|tun|tap|wg|bond|team|dummy|ifb|cni|flannel|cali)|\./;

/** First line of proc_stat(5): ticks at work, and all of them. Guests are in the first columns already. */
export function parseCpu(text: string): { busyTicks: number; allTicks: number } | null {
  const fields = /^cpu +(.*)$/m.exec(text)?.[1]?.split(/ +/).slice(0, 8).map(Number);
  if (fields === undefined || fields.length < 5 || fields.some((ticks) => !Number.isFinite(ticks)))
    return null;
  const allTicks = fields.reduce((sum, ticks) => sum + ticks, 0);
  return { allTicks, busyTicks: allTicks - (fields[3] ?? 0) - (fields[4] ?? 0) };
}

/** Names and kilobytes of proc_meminfo(5). */
export function parseMemory(text: string): Map<string, number> {
  const lines = text.matchAll(/^(\w+): +(\d+) kB$/gm);
  return new Map([...lines].map(([, name = '', size]) => [name, Number(size)]));
}

/** Bytes that whole disks have read and written (kernel documentation, iostats). */
export function parseDisks(text: string): number {
  let sectors = 0;
  for (const line of text.split('\n')) {
    const fields = line.trim().split(/\s+/);
    if (wholeDisk.test(fields[2] ?? '')) sectors += Number(fields[5]) + Number(fields[9]);
  }
  return sectors * sectorBytes;
}

/** Bytes that have come in and gone out by the interfaces that lead outside (proc_pid_net(5)). */
export function parseNetwork(text: string): { receivedBytes: number; sentBytes: number } {
  let [receivedBytes, sentBytes] = [0, 0];
  for (const line of text.split('\n')) {
    const [, name = '', rest = ''] = /^\s*([^:\s]+):\s*(.*)$/.exec(line) ?? [];
    if (name === '' || virtualInterface.test(name)) continue;
    const fields = rest.split(/\s+/).map(Number);
    receivedBytes += fields[0] ?? 0;
    sentBytes += fields[8] ?? 0;
  }
  return { receivedBytes, sentBytes };
}

/** Part of `total` that `free` leaves, 0 to 1; null when there is nothing to use. */
function usedPart(total: number | undefined, free: number | undefined): number | null {
  if (total === undefined || free === undefined || total <= 0) return null;
  return 1 - free / total;
}

/** Kilobytes a second between two readings of a counter; null after a counter began anew. */
function rate(before: number | null | undefined, now: number | null, elapsedMs: number): number | null {
  if (before === null || before === undefined || now === null || now < before || elapsedMs <= 0) return null;
  return (now - before) / elapsedMs;
}

/** The sample that follows from two readings of the counters and one of the levels. Pure. */
export function codesOf(before: Counters | null, now: Counters | null, levels: Levels): Codes {
  const { memory, load1, rootUsed } = levels;
  const elapsedMs = before === null || now === null ? 0 : now.atMs - before.atMs;
  const ticks = before === null || now === null ? 0 : now.allTicks - before.allTicks;
  const busy =
    before === null || now === null || ticks <= 0 ? null : (now.busyTicks - before.busyTicks) / ticks;
  const asPercent = (part: number | null): number | null => (part === null ? null : part * 100);
  const values: Record<Measure, number | null> = {
    cpuBusy: asPercent(busy),
    memoryUsed: asPercent(usedPart(memory.get('MemTotal'), memory.get('MemAvailable'))),
    swapUsed: asPercent(usedPart(memory.get('SwapTotal'), memory.get('SwapFree'))),
    load1,
    rootUsed: asPercent(rootUsed),
    diskThroughput: rate(before?.diskBytes, now?.diskBytes ?? null, elapsedMs),
    netReceived: rate(before?.receivedBytes, now?.receivedBytes ?? null, elapsedMs),
    netSent: rate(before?.sentBytes, now?.sentBytes ?? null, elapsedMs),
  };
  return measures.map((measure) => {
    const value = values[measure];
    return value === null || !Number.isFinite(value) ? null : scales[measure].toCode(value);
  });
}

/** A file of the kernel, or null: containers and hardened hosts hide some of them. */
function readKernel(file: string): Promise<string | null> {
  return readFile(file, 'utf8').catch(() => null);
}

async function readCounters(): Promise<Counters | null> {
  const [stat, disks, network] = await Promise.all(
    ['/proc/stat', '/proc/diskstats', '/proc/net/dev'].map(readKernel),
  );
  const ticks = stat === null || stat === undefined ? null : parseCpu(stat);
  if (ticks === null) return null;
  const traffic = typeof network === 'string' ? parseNetwork(network) : null;
  return {
    atMs: performance.now(),
    ...ticks,
    diskBytes: typeof disks === 'string' ? parseDisks(disks) : null,
    receivedBytes: traffic?.receivedBytes ?? null,
    sentBytes: traffic?.sentBytes ?? null,
  };
}

async function readLevels(): Promise<Levels> {
  const [memory, load] = await Promise.all(['/proc/meminfo', '/proc/loadavg'].map(readKernel));
  const root = await statfs('/').catch(() => null);
  const load1 = Number.parseFloat(load ?? '');
  return {
    memory: parseMemory(memory ?? ''),
    load1: Number.isFinite(load1) ? load1 : null,
    // As df(1) has it: what is kept for root counts as used by nobody and free for nobody.
    rootUsed: root === null ? null : usedPart(root.blocks - root.bfree + root.bavail, root.bavail),
  };
}

/** Measures this host; rates are those since the measurement before, and null at the first. */
export function createMeasurer(): () => Promise<Codes> {
  let before: Counters | null = null;
  return async () => {
    const [now, levels] = await Promise.all([readCounters(), readLevels()]);
    const codes = codesOf(before, now, levels);
    before = now;
    return codes;
  };
}
