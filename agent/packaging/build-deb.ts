import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';

const run = promisify(execFile);
const agentRoot = path.resolve(import.meta.dirname, '..');
const repositoryRoot = path.resolve(agentRoot, '..');

export interface DebOptions {
  /** Where the package is put; packages of the same content are found there again. */
  readonly outDir: string;
  /** The `node` binary that the package carries, so that the host needs none. */
  readonly nodeBinary: string;
  readonly version: string;
}

/** Files of the package: where they come from, where they lie, their mode. */
const files: readonly [string, string, number][] = [
  ['guardian.sh', 'usr/lib/atlas-agent/guardian', 0o755],
  ['launch.sh', 'usr/lib/atlas-agent/launch', 0o755],
  ['drain.sh', 'usr/lib/atlas-agent/drain', 0o755],
  ['prepare-state.sh', 'usr/lib/atlas-agent/prepare-state', 0o755],
  ['atlas-agent.sh', 'usr/bin/atlas-agent', 0o755],
  ['atlas-agent.service', 'usr/lib/systemd/system/atlas-agent.service', 0o644],
  ['atlas-agent-state.service', 'usr/lib/systemd/system/atlas-agent-state.service', 0o644],
  ['atlas-guardian.service', 'usr/lib/systemd/system/atlas-guardian.service', 0o644],
  ['atlas-guardian.timer', 'usr/lib/systemd/system/atlas-guardian.timer', 0o644],
  ['postinst.sh', 'DEBIAN/postinst', 0o755],
  ['prerm.sh', 'DEBIAN/prerm', 0o755],
];

function control(version: string, sizeKiB: number): string {
  return `Package: atlas-agent
Version: ${version}
Architecture: amd64
Maintainer: ATLAS ORCHESTRATOR
Installed-Size: ${sizeKiB}
Depends: libc6 (>= 2.28), libstdc++6, libgcc-s1, libatomic1, mount, util-linux
Recommends: btrfs-progs, needrestart
Section: admin
Priority: optional
Description: ATLAS ORCHESTRATOR agent
 Verifies on the host what people have released, guards, updates, checks and
 rolls back. Carries its own runtime.
`;
}

/** Bundles the agent into one file that needs nothing but node. */
export async function bundleAgent(outFile: string, version: string): Promise<void> {
  await build({
    entryPoints: [path.join(agentRoot, 'src/main.ts')],
    outfile: outFile,
    bundle: true,
    platform: 'node',
    target: 'node22',
    format: 'esm',
    absWorkingDir: repositoryRoot,
    // ws looks for native accelerators that the agent does without.
    external: ['bufferutil', 'utf-8-validate'],
    banner: {
      js: "import { createRequire } from 'node:module';\nconst require = createRequire(import.meta.url);",
    },
    define: { __ATLAS_AGENT_VERSION__: JSON.stringify(version) },
    legalComments: 'linked',
    logLevel: 'warning',
  });
}

/** Digest of everything that goes into the package; the runtime by size and change time, which is enough to tell builds apart. */
async function digestInputs(bundle: string, options: DebOptions): Promise<string> {
  const hash = createHash('sha256')
    .update(options.version)
    .update(await readFile(bundle));
  for (const [source] of files) hash.update(await readFile(path.join(import.meta.dirname, source)));
  const node = await stat(options.nodeBinary);
  hash.update(await readFile(import.meta.filename)).update(`${node.size} ${node.mtimeMs}`);
  return hash.digest('hex').slice(0, 16);
}

async function layOut(root: string, bundle: string, options: DebOptions): Promise<void> {
  for (const [source, destination, mode] of files) {
    const target = path.join(root, destination);
    await mkdir(path.dirname(target), { recursive: true });
    await copyFile(path.join(import.meta.dirname, source), target);
    await chmod(target, mode);
  }
  const home = path.join(root, 'usr/lib/atlas-agent');
  await copyFile(bundle, path.join(home, 'agent.mjs'));
  await chmod(path.join(home, 'agent.mjs'), 0o644);
  await copyFile(options.nodeBinary, path.join(home, 'node'));
  await chmod(path.join(home, 'node'), 0o755);
  const sizeKiB = Math.ceil(((await stat(options.nodeBinary)).size + (await stat(bundle)).size) / 1024);
  await writeFile(path.join(root, 'DEBIAN/control'), control(options.version, sizeKiB));
  for (const directory of [
    '',
    'usr',
    'usr/bin',
    'usr/lib',
    'usr/lib/atlas-agent',
    'usr/lib/systemd',
    'usr/lib/systemd/system',
    'DEBIAN',
  ])
    await chmod(path.join(root, directory), 0o755);
}

/**
 * Builds the agent's Debian package (gzip, the fastest that Debian 12 and Ubuntu 24.04 both read). The same content is
 * built once.
 * @returns the path of the package.
 */
export async function buildAgentDeb(options: DebOptions): Promise<string> {
  await mkdir(options.outDir, { recursive: true });
  const work = await mkdtemp(path.join(tmpdir(), 'atlas-agent-deb-'));
  try {
    const bundle = path.join(work, 'agent.mjs');
    await bundleAgent(bundle, options.version);
    const digest = await digestInputs(bundle, options);
    const name = `atlas-agent_${options.version}_amd64.${digest}.deb`;
    const target = path.join(options.outDir, name);
    if ((await readdir(options.outDir)).includes(name)) return target;
    const root = path.join(work, 'root');
    await layOut(root, bundle, options);
    const arguments_ = ['--root-owner-group', '-Zgzip', '-z1', '--build', root, `${target}.part`];
    await run('dpkg-deb', arguments_, { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', TMPDIR: work } });
    await rename(`${target}.part`, target);
    return target;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
