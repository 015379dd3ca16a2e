import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface SandboxOptions {
  /** The room `ansible/hosts`. */
  readonly roomDirectory: string;
  readonly python: string;
  /** A file to be put into the job's folder as `archive`. */
  readonly bring?: string;
  /** Folders that a job must not see: secrets and data of the server. */
  readonly hide: readonly string[];
  /** What the job reads on its standard input; the only way in for a credential. */
  readonly input: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export interface SandboxOutput {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
  readonly isIsolated: boolean;
}

const maxOutputBytes = 24 << 20;
const spaces = [
  '--mount',
  '--propagation=private',
  '--pid',
  '--fork',
  '--kill-child=KILL',
  '--mount-proc',
  '--ipc',
  '--uts',
];

let known: Promise<readonly string[] | null> | undefined;

function succeeds(args: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn('unshare', [...args, 'true'], { stdio: 'ignore' });
    child.once('error', () => resolve(false));
    child.once('exit', (code) => resolve(code === 0));
  });
}

/** Arguments of `unshare` that this machine allows: as root, or in a user name space; null when neither. */
function findSpaces(): Promise<readonly string[] | null> {
  known ??= (async () => {
    for (const args of [spaces, ['--user', '--map-root-user', ...spaces]])
      if (await succeeds(args)) return args;
    return null;
  })();
  return known;
}

function kill(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    // Its own session, hence its own group: the whole tree goes. In a PID name space the kernel ends the rest as well.
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function collect(
  child: ReturnType<typeof spawn>,
  options: SandboxOptions,
): Promise<Omit<SandboxOutput, 'isIsolated'>> {
  const parts: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] };
  let bytes = 0;
  let timedOut = false;
  const end = (): void => kill(child.pid);
  const timer = setTimeout(() => {
    timedOut = true;
    end();
  }, options.timeoutMs);
  options.signal?.addEventListener('abort', end, { once: true });
  for (const name of ['stdout', 'stderr'] as const)
    child[name]?.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxOutputBytes) end();
      else parts[name].push(chunk);
    });
  // A job that ends at once leaves the pipe closed before everything was written.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(options.input);
  return new Promise((resolve) => {
    const settle = (exitCode: number | null, fault = ''): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', end);
      end();
      const [stdout, stderr] = [parts.stdout, parts.stderr].map((one) => Buffer.concat(one).toString('utf8'));
      resolve({ exitCode, stdout: stdout ?? '', stderr: `${stderr ?? ''}${fault}`, timedOut });
    };
    child.once('error', (error) => settle(null, error.message));
    child.once('close', (code) => settle(code));
  });
}

/** Runs one job by itself: own session, memory-only folder, minimal environment, limits on time and output. */
export async function runInSandbox(options: SandboxOptions): Promise<SandboxOutput> {
  const args = await findSpaces();
  const folder = await mkdtemp(path.join(tmpdir(), 'atlas-job-'));
  const job = path.join(options.roomDirectory, 'job.py');
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8' };
  const started = { cwd: folder, env, detached: true, stdio: ['pipe', 'pipe', 'pipe'] as const };
  try {
    const child =
      args === null
        ? spawn(options.python, ['-I', job], { ...started, stdio: [...started.stdio] })
        : spawn(
            'unshare',
            [
              ...args,
              ...['sh', path.join(options.roomDirectory, 'sandbox.sh'), folder, options.bring ?? ''],
              ...[options.hide.join('\n'), '--', options.python, '-I', job],
            ],
            { ...started, stdio: [...started.stdio] },
          );
    return { ...(await collect(child, options)), isIsolated: args !== null };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
