import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseLines } from '../src/guard/guardian.ts';
import { VersionFolders } from '../src/selfupdate/versionFolders.ts';

const run = promisify(execFile);
const script = path.join(import.meta.dirname, 'launch.sh');
/** What changes the disk, and `cat`, which stands between the opening of a file and its content. */
const tools = ['sync', 'mv', 'cat', 'rm'];
let root: string;
let versions: string;
let folders: VersionFolders;

const pointerFile = () => path.join(versions, 'current');
const readPointer = async () => parseLines(await readFile(pointerFile(), 'utf8'));
const exists = (file: string) =>
  stat(file).then(
    () => true,
    () => false,
  );

async function writeProgram(file: string, text: string): Promise<void> {
  await writeFile(file, text);
  await chmod(file, 0o755);
}

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'atlas-launch-'));
  versions = path.join(root, 'state/versions');
  for (const name of ['home', 'bin', 'state/versions'])
    await mkdir(path.join(root, name), { recursive: true });
  // Stands in for the runtime: says which program it was given, and what it was told.
  await writeProgram(
    path.join(root, 'home/node'),
    '#!/bin/sh\nshift\necho "$ATLAS_AGENT_BUILD|$*|${NODE_OPTIONS:-}"\n',
  );
  await writeFile(path.join(root, 'home/agent.mjs'), 'the package');
  folders = new VersionFolders(versions);
});

afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

async function launch(args: readonly string[], bend: Record<string, string> = {}) {
  const env = {
    PATH: `${root}/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    ATLAS_LAUNCH_HOME: path.join(root, 'home'),
    ATLAS_LAUNCH_STATE: path.join(root, 'state'),
    ATLAS_LAUNCH_RESTART: `touch ${root}/restarted`,
    ROOT: root,
    ...bend,
  };
  const done = await run('sh', [script, ...args], { env }).catch(
    (error: unknown) => error as { stdout: string },
  );
  return done.stdout;
}

/** The version that the service would run now. */
async function start(bend?: Record<string, string>): Promise<string> {
  return (await launch(['start', 'run'], bend)).split('|')[0] ?? '';
}

async function install(version: string, from = 'package', askId = randomUUID()): Promise<string> {
  await folders.put(version, Buffer.from(`program ${version}`));
  await folders.swap({ version, from, askId });
  return askId;
}

/** Makes the pointer say something else of the present trial. */
async function edit(name: string, value: string): Promise<void> {
  const lines = (await readPointer()).set(name, value);
  await writeFile(pointerFile(), [...lines].map(([key, text]) => `${key}=${text}\n`).join(''));
}

describe('the launcher', () => {
  it('starts the package’s own version when no other was put beside it, and hands the arguments on', async () => {
    expect(await launch(['start', 'run', 'a b'])).toBe(`package|${root}/home/agent.mjs run a b|\n`);
    expect(await launch(['exec', 'status'], { NODE_OPTIONS: '--inspect' })).toBe(
      `package|${root}/home/agent.mjs status|\n`,
    );
  });

  it('gives an unproven version three starts, each counted before it happens, then goes back and says why', async () => {
    const askId = await install('0.2.0');
    for (const starts of ['1', '2', '3']) {
      expect(await start()).toBe('0.2.0');
      expect((await readPointer()).get('starts')).toBe(starts);
    }
    expect(await start()).toBe('package');
    expect(await start()).toBe('package');
    expect(await folders.read()).toMatchObject({
      version: 'package',
      isProven: true,
      askId: null,
      left: { version: '0.2.0', askId, starts: 3, why: 'started 3 times and did not prove itself' },
    });
  });

  it('goes back to the version before, not to the package, when there was one', async () => {
    await install('0.2.0');
    await folders.confirm('0.2.0');
    await install('0.3.0', '0.2.0');
    for (let n = 0; n < 3; n += 1) expect(await start()).toBe('0.3.0');
    expect(await start()).toBe('0.2.0');
    expect((await readPointer()).get('proven')).toBe('yes');
  });

  it('never counts again once the version has proven itself, and keeps two', async () => {
    await install('0.2.0');
    await folders.confirm('0.2.0');
    await install('0.3.0', '0.2.0');
    await start();
    await folders.confirm('0.3.0');
    for (let n = 0; n < 5; n += 1) expect(await start()).toBe('0.3.0');
    await install('0.4.0', '0.3.0');
    await folders.confirm('0.4.0');
    expect((await readdir(versions)).sort()).toEqual(['0.3.0', '0.4.0', 'current']);
  });

  it('does not count what people ask of the agent beside the service', async () => {
    await install('0.2.0');
    for (let n = 0; n < 5; n += 1) expect(await launch(['exec', 'status'])).toContain('0.2.0|');
    expect((await readPointer()).get('starts')).toBe('0');
  });

  it('starts nothing that its digest does not describe, proven or not', async () => {
    await install('0.2.0');
    await folders.confirm('0.2.0');
    await install('0.3.0', '0.2.0');
    await writeFile(folders.programOf('0.3.0'), 'another program');
    expect(await start()).toBe('0.2.0');
    expect((await folders.read()).left).toMatchObject({ version: '0.3.0', why: 'its files are damaged' });
    await writeFile(folders.programOf('0.2.0'), '');
    expect(await start()).toBe('package');
    expect(await launch(['exec', 'status'])).toContain('package|');
  });

  it('starts no unproven version whose start it cannot count', async () => {
    await install('0.2.0');
    await writeProgram(path.join(root, 'bin/sync'), '#!/bin/sh\nexit 1\n');
    expect(await start()).toBe('package');
    await rm(path.join(root, 'bin/sync'));
    expect(await start()).toBe('0.2.0');
  });

  it('takes no pointer for more than the name of a version', async () => {
    for (const evil of ['../../home', '..', '.', '', '/etc', '$(touch x)', '0.2.0/../0.1.0', '-x']) {
      await writeFile(pointerFile(), `version=${evil}\nprevious=${evil}\nproven=yes\n`);
      expect(await start()).toBe('package');
      await writeFile(pointerFile(), `version=${evil}\nprevious=${evil}\nproven=no\nstarts=x\n`);
      expect(await start()).toBe('package');
    }
    await writeFile(pointerFile(), Buffer.from([0, 255, 10, 0]));
    expect(await start()).toBe('package');
  });

  it('takes the package’s own version again when a person asks for it', async () => {
    await install('0.2.0');
    await folders.confirm('0.2.0');
    await launch(['package']);
    expect(await start()).toBe('package');
    expect((await folders.read()).askId).toBeNull();
  });
});

describe('the launcher’s watch', () => {
  const isRestarted = () => exists(path.join(root, 'restarted'));

  it('leaves a running version alone that still has time, or was proven, or was not started in this boot', async () => {
    await launch(['watch']);
    await install('0.2.0');
    await launch(['watch']);
    await start();
    await launch(['watch']);
    await edit('boot_id', 'the one before');
    await edit('since_uptime_s', '-100000');
    await launch(['watch']);
    expect(await start()).toBe('0.2.0');
    await folders.confirm('0.2.0');
    await launch(['watch']);
    expect(await isRestarted()).toBe(false);
    expect(await start()).toBe('0.2.0');
  });

  it('goes back and restarts the agent when a version lives too long without proof', async () => {
    await install('0.2.0');
    await start();
    await edit('since_uptime_s', '-600');
    await launch(['watch']);
    expect(await isRestarted()).toBe(true);
    expect(await start()).toBe('package');
    expect((await folders.read()).left).toMatchObject({
      version: '0.2.0',
      why: 'no healthy contact with the server within 600 s',
    });
  });

  it('restarts the agent at its next look when the restart failed', async () => {
    await install('0.2.0');
    await start();
    await edit('since_uptime_s', '-600');
    await launch(['watch'], { ATLAS_LAUNCH_RESTART: 'false' });
    expect(await isRestarted()).toBe(false);
    await launch(['watch']);
    expect(await isRestarted()).toBe(true);
    await rm(path.join(root, 'restarted'));
    await launch(['watch']);
    expect(await isRestarted()).toBe(false);
  });
});

/**
 * Power that goes at one call of a tool: that call and all that come after it never happen. The counter is a file, for
 * each call is a process of its own.
 */
async function cutPowerAt(call: number): Promise<void> {
  await rm(path.join(root, 'calls'), { force: true });
  const script = (tool: string) => `#!/bin/sh
n=0
[ ! -e "$ROOT/calls" ] || read -r n <"$ROOT/calls"
n=$((n + 1))
echo "$n" >"$ROOT/calls"
[ "$n" -lt ${call} ] || kill -9 0
exec /usr/bin/${tool} "$@"
`;
  for (const tool of tools) await writeProgram(path.join(root, 'bin', tool), script(tool));
}

const restorePower = () =>
  Promise.all(tools.map((tool) => rm(path.join(root, 'bin', tool), { force: true })));

/** Runs the launcher in a process group of its own, which the cut ends whole. */
async function launchCut(args: readonly string[], call: number): Promise<boolean> {
  await cutPowerAt(call);
  const env = {
    PATH: `${root}/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    ATLAS_LAUNCH_HOME: path.join(root, 'home'),
    ATLAS_LAUNCH_STATE: path.join(root, 'state'),
    ATLAS_LAUNCH_RESTART: `touch ${root}/restarted`,
    ROOT: root,
  };
  const isWhole = await run('setsid', ['--wait', 'sh', script, ...args], { env }).then(
    () => true,
    () => false,
  );
  await restorePower();
  return isWhole;
}

describe('a power cut in the launcher', () => {
  it('never grants a start that was not counted, whichever tool it hits, and leaves something to start', async () => {
    let granted = 0;
    let isWhole = false;
    for (let call = 1; !isWhole; call += 1) {
      await rm(versions, { recursive: true, force: true });
      await mkdir(versions);
      await install('0.2.0');
      isWhole = await launchCut(['start', 'run'], call);
      granted = Number((await readPointer()).get('starts'));
      expect([0, 1]).toContain(granted);
      expect(await exists(folders.programOf('0.2.0'))).toBe(true);
      // However often that happens: three counted starts at most, then the package.
      const seen = [await start(), await start(), await start(), await start()];
      expect(seen.filter((version) => version === '0.2.0')).toHaveLength(3 - granted);
      expect(seen.at(-1)).toBe('package');
      expect(call).toBeLessThan(60);
    }
    expect(granted).toBe(1);
  });

  it('goes back whole or not at all, and the next start does what is missing', async () => {
    let isWhole = false;
    for (let call = 1; !isWhole; call += 1) {
      await rm(versions, { recursive: true, force: true });
      await mkdir(versions);
      await install('0.2.0');
      await folders.confirm('0.2.0');
      await install('0.3.0', '0.2.0');
      await edit('starts', '3');
      isWhole = await launchCut(['start', 'run'], call);
      expect(['0.3.0', '0.2.0']).toContain((await folders.read()).version);
      expect(await start()).toBe('0.2.0');
      expect((await folders.read()).left).toMatchObject({ version: '0.3.0', starts: 3 });
      expect(call).toBeLessThan(60);
    }
  });

  it('leaves a version that hangs in the end, wherever the watch was cut short', async () => {
    let isWhole = false;
    for (let call = 1; !isWhole; call += 1) {
      for (const left of ['restarted', 'state/versions'])
        await rm(path.join(root, left), { recursive: true, force: true });
      await mkdir(versions);
      await install('0.2.0');
      await start();
      await edit('since_uptime_s', '-600');
      isWhole = await launchCut(['watch'], call);
      await launch(['watch']);
      await launch(['watch']);
      expect(await exists(path.join(root, 'restarted'))).toBe(true);
      expect(call).toBeLessThan(60);
    }
  });

  it('finds the pointer on the disk: each swap follows the content and is followed by its folder', async () => {
    await install('0.2.0');
    for (const tool of ['sync', 'mv'])
      await writeProgram(
        path.join(root, 'bin', tool),
        `#!/bin/sh\necho "${tool} $*" >>"$ROOT/order"\nexec /usr/bin/${tool} "$@"\n`,
      );
    for (let n = 0; n < 4; n += 1) await start();
    const calls = (await readFile(path.join(root, 'order'), 'utf8')).trim().split('\n');
    const drafts = calls.filter((call) => call.startsWith('mv')).map((call) => call.split(' ')[2]);
    expect(drafts).toHaveLength(4);
    expect(calls).toEqual(
      drafts.flatMap((draft) => [`sync ${draft}`, `mv -f ${draft} ${pointerFile()}`, `sync ${versions}`]),
    );
  });
});
