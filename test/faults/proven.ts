import { spawn } from 'node:child_process';
import path from 'node:path';
import type { ProvenFault } from './fault.ts';

const root = path.resolve(import.meta.dirname, '../..');
const limitMs = 300_000;

/** Runs the program that proves a fault, and takes its verdict. */
export async function runProven(fault: ProvenFault): Promise<{ broken: readonly string[]; seen: string }> {
  const child = spawn(process.execPath, [...fault.command], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: limitMs,
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  const failed = code === 0 ? [] : [`its program ended with status ${code}: ${said.trim().slice(-400)}`];
  if (failed.length > 0) return { broken: failed, seen: '' };
  return fault.read(said);
}
