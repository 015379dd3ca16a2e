import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Drainage } from '../src/guard/drainage.ts';

const run = promisify(execFile);
const drainScript = path.join(import.meta.dirname, 'drain.sh');
const guardianScript = path.join(import.meta.dirname, 'guardian.sh');
let state: string;
let hooks: string;

/** Stands in for the service manager: a unit is active while its file is there; a stubborn one neither stops nor starts. */
const fakeSystemctl = `#!/bin/sh
verb=$1
[ "$verb" = is-active ] || echo "$verb $3" >>"$FAKE/calls"
for unit; do :; done
[ ! -e "$FAKE/stubborn-$unit" ] || [ "$verb" = is-active ] || exit 1
case $verb in
  stop) [ ! -e "$FAKE/slow" ] || sleep 1; rm -f "$FAKE/up-$unit" ;;
  start) touch "$FAKE/up-$unit" ;;
  is-active) [ -e "$FAKE/up-$unit" ] ;;
esac
`;

const args = {
  hookWithinS: 5,
  units: [
    { unit: 'front.service', withinS: 5 },
    { unit: 'idle.service', withinS: 5 },
    { unit: 'app.service', withinS: 5 },
  ],
  returnWithinS: 600,
};

const environment = () => ({
  PATH: `${state}/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
  FAKE: state,
  ATLAS_DRAIN_TOP: state,
  ATLAS_DRAIN_OWNER: String(process.getuid?.()),
  ATLAS_GUARDIAN_DRAIN: drainScript,
});

const writeProgram = async (file: string, text: string): Promise<void> => {
  await writeFile(file, text);
  await chmod(file, 0o755);
};

beforeEach(async () => {
  state = await mkdtemp(path.join(tmpdir(), 'atlas-drain-'));
  hooks = path.join(state, 'etc/atlas/hooks');
  for (const name of ['guardian', 'bin', 'etc/atlas/hooks'])
    await mkdir(path.join(state, name), { recursive: true });
  await writeProgram(path.join(state, 'bin/systemctl'), fakeSystemctl);
  for (const name of ['drain', 'undrain'])
    await writeProgram(
      path.join(hooks, name),
      `#!/bin/sh\necho "${name} $#" >>${state}/calls; env >${state}/env\n`,
    );
  // What the script calls by itself inherits nothing: the class calls it through this.
  const passed = Object.entries(environment()).map(([name, value]) => `${name}='${value}'`);
  await writeProgram(
    path.join(state, 'bin/script'),
    `#!/bin/sh\n${passed.join(' ')} exec sh ${drainScript} "$@"\n`,
  );
  for (const unit of ['front.service', 'app.service']) await writeFile(path.join(state, `up-${unit}`), '');
});

afterEach(async () => {
  await rm(state, { recursive: true, force: true });
});

const drainage = () => new Drainage(state, path.join(state, 'bin/script'));
const calls = async () =>
  (await readFile(path.join(state, 'calls'), 'utf8').catch(() => '')).trim().split('\n');
const isUp = (unit: string) =>
  stat(path.join(state, `up-${unit}`)).then(
    () => true,
    () => false,
  );
const tick = () => run('sh', [guardianScript, state, '/'], { env: environment() });

/** Changes a line of the mark, as time or another boot would. */
async function bend(name: string, value: string): Promise<void> {
  const file = path.join(state, 'guardian/drained');
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replace(new RegExp(`^${name}=.*$`, 'm'), `${name}=${value}`));
}

async function passDeadline(): Promise<void> {
  await bend('deadline_uptime_s', '1');
}

describe('taking the work of a host away', () => {
  it('runs the site’s program first, then stops what is running, in the order that was signed', async () => {
    expect(await drainage().drain('run-1', args)).toBeNull();
    expect(await calls()).toEqual(['drain 0', 'stop front.service', 'stop app.service']);
    expect(await drainage().isAway()).toBe(true);
    expect(await drainage().read()).toEqual({
      hostRunId: 'run-1',
      units: ['front.service', 'app.service'],
      isComplete: true,
      failure: null,
    });
  });

  it('is taken back in the reverse order, the site’s program last, and once', async () => {
    await drainage().drain('run-1', args);
    await rm(path.join(state, 'calls'));
    expect(await drainage().undrain()).toBeNull();
    expect(await calls()).toEqual(['start app.service', 'start front.service', 'undrain 0']);
    expect(await drainage().read()).toBeNull();
    expect(await drainage().undrain()).toBeNull();
    expect(await calls()).toHaveLength(3);
    expect(await isUp('idle.service')).toBe(false);
  });

  it('gives the site’s program no argument and nothing of our environment', async () => {
    await drainage().drain('run-1', args);
    const names = (await readFile(path.join(state, 'env'), 'utf8'))
      .split('\n')
      .map((line) => line.split('=')[0]);
    expect(names).not.toContain('FAKE');
    expect(names).toEqual(expect.arrayContaining(['PATH', 'HOME', 'LC_ALL']));
  });

  it('stops at the first thing that does not go, and what went before comes back', async () => {
    await writeFile(path.join(state, 'stubborn-app.service'), '');
    expect(await drainage().drain('run-1', args)).toContain('app.service did not stop');
    expect(await drainage().isAway()).toBe(false);
    await rm(path.join(state, 'stubborn-app.service'));
    expect(await drainage().undrain()).toBeNull();
    expect([await isUp('front.service'), await isUp('app.service')]).toEqual([true, true]);
  });

  it('ends a program of the site that takes too long', async () => {
    await writeProgram(path.join(hooks, 'drain'), '#!/bin/sh\nsleep 30\n');
    expect(await drainage().drain('run-1', { ...args, hookWithinS: 1 })).toContain('took more than 1 s');
    expect(await isUp('front.service')).toBe(true);
  });
});

describe('a program of the site', () => {
  const refused = async (): Promise<string> => {
    const fault = await drainage().drain('run-1', args);
    expect(await calls()).toEqual(['']);
    // Nothing was begun, so nothing has to come back.
    expect(await drainage().undrain()).toBeNull();
    return fault ?? '';
  };

  it('is not run when it is missing, though only the way back is', async () => {
    await rm(path.join(hooks, 'undrain'));
    expect(await refused()).toContain('is not there');
  });

  it('is not run when it, or a folder above it, may be written by others', async () => {
    await chmod(path.join(hooks, 'drain'), 0o775);
    expect(await refused()).toContain('may be written by others');
    await chmod(path.join(hooks, 'drain'), 0o755);
    await chmod(path.join(state, 'etc/atlas'), 0o757);
    expect(await refused()).toContain('may be written by others');
  });

  it('is not run through a symbolic link', async () => {
    await rm(path.join(hooks, 'drain'));
    await symlink('/bin/true', path.join(hooks, 'drain'));
    expect(await refused()).toContain('symbolic link');
  });

  it('is not run when it belongs to somebody else', async () => {
    const env = { ...environment(), ATLAS_DRAIN_OWNER: '4242' };
    await drainage().drain('run-1', { ...args, hookWithinS: 5, units: [] });
    await drainage().undrain();
    await rm(path.join(state, 'calls'));
    await writeFile(path.join(state, 'guardian/drained'), 'host_run_id=run-2\ntodo=hook 5\n');
    const done = run('sh', [drainScript, state, 'drain'], { env });
    await expect(done).rejects.toMatchObject({ stderr: expect.stringContaining('does not belong to root') });
    expect(await calls()).toEqual(['']);
  });
});

describe('the guardian', () => {
  it('leaves a drained host alone before its deadline', async () => {
    await drainage().drain('run-1', args);
    await tick();
    expect(await isUp('app.service')).toBe(false);
  });

  it('brings everything back after the deadline, without any agent', async () => {
    await drainage().drain('run-1', args);
    await passDeadline();
    await tick();
    expect([await isUp('front.service'), await isUp('app.service')]).toEqual([true, true]);
    expect((await calls()).at(-1)).toBe('undrain 0');
    expect(await drainage().read()).toBeNull();
  });

  it('brings everything back once the host has restarted into its snapshot', async () => {
    await drainage().drain('run-1', args);
    await writeFile(path.join(state, 'guardian/firing'), 'boot_id=the one before\n');
    await tick();
    expect(await drainage().read()).toBeNull();
  });

  it('brings everything back when the revert itself fails', async () => {
    await drainage().drain('run-1', args);
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
    await writeFile(path.join(state, 'guardian/firing'), `boot_id=${boot}\nsnapshot=/nowhere\n`);
    await expect(tick()).rejects.toThrow();
    expect(await isUp('app.service')).toBe(true);
    expect(await drainage().read()).toBeNull();
  });

  it('sends nobody to a host whose services do not start, says so, and tries again later', async () => {
    await drainage().drain('run-1', args);
    await writeFile(path.join(state, 'stubborn-app.service'), '');
    expect(await drainage().undrain()).toContain('app.service did not start');
    expect(await isUp('front.service')).toBe(true);
    expect(await calls()).not.toContain('undrain 0');
    expect((await drainage().read())?.failure).toContain('app.service did not start');
    await rm(path.join(state, 'stubborn-app.service'));
    await tick();
    expect(await drainage().read()).not.toBeNull();
    // Five minutes later, or in another boot.
    await bend('tried_uptime_s', '999999999');
    await tick();
    expect(await drainage().read()).toBeNull();
  });

  it('brings a host back at once that another run found drained', async () => {
    await drainage().drain('run-1', args);
    await drainage().giveBack();
    await tick();
    expect(await drainage().read()).toBeNull();
  });
});

describe('a drain whose agent dies in the middle', () => {
  const begin = async (): Promise<ChildProcess> => {
    await writeFile(path.join(state, 'slow'), '');
    const lines = ['host_run_id=run-1', 'todo=unit front.service 5', 'todo=unit app.service 5'];
    await writeFile(path.join(state, 'guardian/drained'), `${lines.join('\n')}\n`);
    const child = spawn('sh', [drainScript, state, 'drain'], { env: environment(), stdio: 'ignore' });
    while ((await drainage().read())?.units.length === 0) await new Promise((wait) => setTimeout(wait, 20));
    return child;
  };

  it('goes on, and who asks afterwards waits for its end', async () => {
    await begin();
    expect(await drainage().isAway()).toBe(true);
    expect([await isUp('front.service'), await isUp('app.service')]).toEqual([false, false]);
  });

  it('is taken back as far as it came when it was cut short itself', async () => {
    const child = await begin();
    child.kill('SIGKILL');
    expect(await drainage().isAway()).toBe(false);
    expect(await drainage().undrain()).toBeNull();
    expect([await isUp('front.service'), await isUp('app.service')]).toEqual([true, true]);
  });
});
