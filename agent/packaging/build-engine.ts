import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { EngineManifest } from '#contract/visit.ts';
import { bundleAgent } from './build-deb.ts';

const run = promisify(execFile);

export interface EngineOptions {
  /** Where the archive and `engine.json` are put. */
  readonly outDir: string;
  /** The `node` binary that travels with the engine, so that the host needs none. */
  readonly nodeBinary: string;
  readonly version: string;
}

/** Files of the archive beside the bundle and the runtime: source, name on the host, mode. */
const files: readonly [string, string, number][] = [
  ['install-engine.sh', 'install-engine.sh', 0o755],
  ['atlas-engine.sh', 'atlas-engine', 0o755],
  ['guardian.sh', 'guardian', 0o755],
  ['launch.sh', 'launch', 0o755],
  ['drain.sh', 'drain', 0o755],
  ['prepare-state.sh', 'prepare-state', 0o755],
  ['atlas-agent-state.service', 'atlas-agent-state.service', 0o644],
  ['atlas-guardian.service', 'atlas-guardian.service', 0o644],
  ['atlas-guardian.timer', 'atlas-guardian.timer', 0o644],
];

/** The one library of the runtime that minimal installations lack (GCC runtime library exception). */
async function findLibatomic(nodeBinary: string): Promise<string> {
  const { stdout } = await run('ldd', [nodeBinary], { env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' } });
  const found = /libatomic\.so\.1 => (\/\S+)/.exec(stdout)?.[1];
  if (found === undefined) throw new Error('libatomic1 is missing on this machine: install it first');
  return found;
}

async function digestOf(bundle: string, options: EngineOptions): Promise<string> {
  const hash = createHash('sha256')
    .update(options.version)
    .update(await readFile(bundle));
  for (const [source] of files) hash.update(await readFile(path.join(import.meta.dirname, source)));
  const node = await stat(options.nodeBinary);
  return hash.update(`${node.size} ${node.mtimeMs}`).digest('hex').slice(0, 16);
}

/**
 * Builds what the SSH runner carries to hosts without an agent: the agent's own program with its runtime, its guardian
 * and the script that puts them in place. The same content is built once.
 */
export async function buildEngine(options: EngineOptions): Promise<EngineManifest> {
  await mkdir(options.outDir, { recursive: true });
  const work = await mkdtemp(path.join(tmpdir(), 'atlas-engine-'));
  try {
    const bundle = path.join(work, 'agent.mjs');
    await bundleAgent(bundle, options.version);
    const digest = await digestOf(bundle, options);
    const archive = `engine-${digest}.tgz`;
    const target = path.join(options.outDir, archive);
    if ((await stat(target).catch(() => null)) === null) {
      for (const [source, name, mode] of files) {
        await copyFile(path.join(import.meta.dirname, source), path.join(work, name));
        await chmod(path.join(work, name), mode);
      }
      await copyFile(options.nodeBinary, path.join(work, 'node'));
      await chmod(path.join(work, 'node'), 0o755);
      await copyFile(await findLibatomic(options.nodeBinary), path.join(work, 'libatomic.so.1'));
      const names = [...files.map(([, name]) => name), 'agent.mjs', 'node', 'libatomic.so.1'];
      const owner = ['--owner=0', '--group=0', '--numeric-owner'];
      const packed = ['-I', 'gzip -1', '-cf', `${target}.part`, '-C', work, ...owner, ...names];
      await run('tar', packed, { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } });
      await rename(`${target}.part`, target);
    }
    const { size: bytes } = await stat(target);
    const manifest: EngineManifest = { v: 1, digest, version: options.version, archive, bytes };
    const file = path.join(options.outDir, 'engine.json');
    await writeFile(`${file}.part`, JSON.stringify(manifest));
    await rename(`${file}.part`, file);
    return manifest;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
