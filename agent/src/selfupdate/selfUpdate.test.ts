import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile, truncate, type FileHandle } from 'node:fs/promises';
import * as disk from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AgentFrame } from '#contract/agent-link.ts';
import { payloadTypes } from '#contract/dsse.ts';
import { createWorld, jcs } from '../../../test/harness/release-world.ts';
import { signEnvelope } from '../../../test/harness/software-key.ts';
import { SelfUpdate, type SelfUpdateDeps } from './selfUpdate.ts';
import { VersionFolders } from './versionFolders.ts';

/** The power goes at one change of the disk: that one and all after it never happen, and what was not synced is lost. */
const power = vi.hoisted(() => ({ changesLeft: Infinity, unsynced: new Set<string>() }));

vi.mock('node:fs/promises', async (importReal) => {
  const real = await importReal<typeof disk>();
  const change = async <T>(act: () => Promise<T>): Promise<T> => {
    if (power.changesLeft <= 0) throw new Error('no power');
    power.changesLeft -= 1;
    return act();
  };
  const wrap = (file: string, handle: FileHandle) => ({
    writeFile: (content: Uint8Array) =>
      change(async () => {
        power.unsynced.add(file);
        await handle.writeFile(content);
      }),
    sync: () =>
      change(async () => {
        power.unsynced.delete(file);
        await handle.sync();
      }),
    close: () => handle.close(),
  });
  const open = async (file: string, ...rest: [string, number?]) =>
    wrap(file, rest[0] === 'r' ? await real.open(file) : await change(() => real.open(file, ...rest)));
  const rename = (from: string, to: string) =>
    change(async () => {
      // What was never synced is as unsure under its new name, a folder's files included.
      for (const file of power.unsynced)
        if (file === from || file.startsWith(`${from}/`)) {
          power.unsynced.delete(file);
          power.unsynced.add(to + file.slice(from.length));
        }
      await real.rename(from, to);
    });
  const mkdir = (...args: Parameters<typeof real.mkdir>) => change(() => real.mkdir(...args));
  const rm = (...args: Parameters<typeof real.rm>) => change(() => real.rm(...args));
  return { ...real, open, rename, mkdir, rm };
});

const run = promisify(execFile);
const launcher = path.resolve(import.meta.dirname, '../../packaging/launch.sh');
const world = createWorld();
let root: string;
let folders: VersionFolders;
let said: AgentFrame[];
let paused: boolean[];

beforeEach(async () => {
  root = await disk.mkdtemp(path.join(tmpdir(), 'atlas-selfupdate-'));
  await disk.mkdir(path.join(root, 'versions'));
  await disk.writeFile(path.join(root, 'node'), '#!/bin/sh\necho "$ATLAS_AGENT_BUILD"\n', { mode: 0o755 });
  await disk.writeFile(path.join(root, 'agent.mjs'), '');
  folders = new VersionFolders(path.join(root, 'versions'));
  [said, paused] = [[], []];
});

afterEach(async () => {
  power.changesLeft = Infinity;
  power.unsynced.clear();
  await disk.rm(root, { recursive: true, force: true });
});

function createUpdate(bend: Partial<SelfUpdateDeps> = {}): SelfUpdate {
  return new SelfUpdate({
    folders,
    running: '0.1.0',
    launched: 'package',
    view: () => ({ policy: world.policy, nowMs: Date.now(), timeFloorMs: 0, isLocked: false }),
    findWork: () => Promise.resolve(null),
    pause: (isPaused) => paused.push(isPaused),
    send: (frame) => said.push(frame) > 0,
    told: () => null,
    ...bend,
  });
}

function offer(version: string, program = `console.log('${version}')`) {
  const bytes = gzipSync(program);
  const document = {
    ...{ v: 1, tenant: world.tenantId, version, platform: 'linux-x64', bytes: bytes.length },
    sha256: createHash('sha256').update(bytes).digest('hex'),
    issuedAt: new Date().toISOString(),
    expiresAt: new Date(Date.now() + 60_000).toISOString(),
  };
  const envelope = signEnvelope(payloadTypes.agentBuild, jcs(document), [world.root]);
  return { type: 'build', askId: randomUUID(), envelope, artefact: bytes.toString('base64url') } as const;
}

/** What the real launcher starts now. */
async function started(): Promise<string> {
  const env = { PATH: '/usr/bin:/bin', ATLAS_LAUNCH_HOME: root, ATLAS_LAUNCH_STATE: root };
  return (await run('sh', [launcher, 'start', 'run'], { env })).stdout.trim();
}

describe('becoming another version', () => {
  it('puts it in its folder, points at it, and proves it at the first welcome', async () => {
    const asked = offer('0.2.0');
    const update = createUpdate();
    await update.take(asked);
    expect(await update.replaced).toBe('0.2.0');
    expect(said).toEqual([]);
    expect(paused).toEqual([true]);
    expect(await started()).toBe('0.2.0');
    expect((await folders.read()).isProven).toBe(false);
    await createUpdate({ running: '0.2.0', launched: '0.2.0' }).prove();
    expect((await folders.read()).isProven).toBe(true);
    const [frame] = said;
    expect(frame).toMatchObject({
      askId: asked.askId,
      version: '0.2.0',
      running: '0.2.0',
      outcome: 'updated',
    });
  });

  it('says once that it went back, and why, until the server holds it', async () => {
    const asked = offer('0.2.0');
    await createUpdate().take(asked);
    for (let n = 0; n < 3; n += 1) expect(await started()).toBe('0.2.0');
    expect(await started()).toBe('package');
    await createUpdate().prove();
    await createUpdate({ told: () => asked.askId }).prove();
    expect(said).toMatchObject([
      {
        ...{
          askId: asked.askId,
          version: '0.2.0',
          running: '0.1.0',
          outcome: 'reverted',
          code: 'not_proven',
        },
        detail: 'started 3 times and did not prove itself (3 starts)',
      },
    ]);
  });

  it('takes one request once, and only repeats what came of it', async () => {
    const asked = offer('0.2.0');
    await createUpdate().take(asked);
    const next = { running: '0.2.0', launched: '0.2.0' };
    await createUpdate(next).take(asked);
    expect(said).toEqual([]);
    await createUpdate(next).prove();
    await createUpdate(next).take(asked);
    expect(said).toMatchObject([{ outcome: 'updated' }, { outcome: 'updated' }]);
    const other = offer('0.3.0');
    await createUpdate(next).take(other);
    for (let start = 0; start < 4; start += 1) await started();
    await createUpdate(next).take(other);
    expect(said.at(-1)).toMatchObject({ askId: other.askId, outcome: 'reverted' });
    expect(await folders.triesOf('0.3.0')).toBe(1);
  });

  it('proves no version but the one that was started', async () => {
    await createUpdate().take(offer('0.2.0'));
    await createUpdate().prove();
    expect((await folders.read()).isProven).toBe(false);
  });

  it('is tried three times on a host, each time because somebody asked again', async () => {
    for (let n = 0; n < 3; n += 1) {
      await createUpdate().take(offer('0.2.0'));
      for (let start = 0; start < 4; start += 1) await started();
    }
    await createUpdate().take(offer('0.2.0'));
    expect(said).toMatchObject([{ outcome: 'refused', code: 'tried_too_often' }]);
    expect(await started()).toBe('package');
  });
});

describe('a host that stays what it is', () => {
  interface Refusal {
    readonly why: string;
    readonly bend?: Partial<SelfUpdateDeps>;
    readonly asked?: ReturnType<typeof offer>;
    readonly expected: Partial<AgentFrame>;
  }
  const foreign = { ...offer('0.2.0'), artefact: offer('0.3.0').artefact };
  const refusals: readonly Refusal[] = [
    {
      why: 'has work',
      bend: { findWork: () => Promise.resolve('orders are open') },
      expected: { outcome: 'postponed', code: 'busy', detail: 'orders are open' },
    },
    {
      why: 'was not launched',
      bend: { launched: null },
      expected: { outcome: 'refused', code: 'not_launched' },
    },
    { why: 'is newer', bend: { running: '0.3.0' }, expected: { outcome: 'refused', code: 'not_newer' } },
    {
      why: 'is given a program that fails',
      asked: offer('0.2.0', 'process.exit(1)'),
      expected: { outcome: 'refused', code: 'does_not_start' },
    },
    {
      why: 'is given another version than the document says',
      asked: offer('0.2.0', 'console.log("9.9.9")'),
      expected: { outcome: 'refused', code: 'does_not_start' },
    },
    {
      why: 'is given other bytes',
      asked: foreign,
      expected: { outcome: 'refused', code: 'digest_mismatch' },
    },
  ];
  it.each(refusals)('says so when it $why', async ({ bend = {}, asked = offer('0.2.0'), expected }) => {
    await createUpdate(bend).take(asked);
    expect(said).toMatchObject([{ askId: asked.askId, ...expected }]);
    expect(paused).toEqual([]);
    expect(await started()).toBe('package');
  });

  it('lets an order win that came while the program was being put there, and takes orders again', async () => {
    const answers = [null, 'orders are open'];
    await createUpdate({ findWork: () => Promise.resolve(answers.shift() ?? null) }).take(offer('0.2.0'));
    expect(said).toMatchObject([{ outcome: 'postponed', code: 'busy', detail: 'orders are open' }]);
    expect(paused).toEqual([true, false]);
    expect(await started()).toBe('package');
  });
});

describe('a power cut while the agent becomes another version', () => {
  it('leaves a whole version to start, whichever change of the disk it hits, and the next request goes through', async () => {
    let isReplaced = false;
    for (let changes = 0; !isReplaced; changes += 1) {
      await disk.rm(path.join(root, 'versions'), { recursive: true, force: true });
      await disk.mkdir(path.join(root, 'versions'));
      power.changesLeft = changes;
      const update = createUpdate();
      await update.take(offer('0.2.0'));
      isReplaced = power.changesLeft > 0;
      power.changesLeft = Infinity;
      for (const file of power.unsynced) await truncate(file, 3).catch(() => undefined);
      power.unsynced.clear();
      // What is pointed at was on the disk before: it starts, and not because the launcher had to help.
      const { version } = await folders.read();
      expect(await started()).toBe(version);
      if (version === '0.2.0')
        expect(await readFile(folders.programOf(version), 'utf8')).toBe("console.log('0.2.0')");
      else await createUpdate().take(offer('0.2.0'));
      expect(await started()).toBe('0.2.0');
      await folders.confirm('0.2.0');
      const names = (await readdir(path.join(root, 'versions'))).sort();
      expect(names.filter((name) => name !== 'current.new' && name !== 'tries.json.new')).toEqual([
        ...['0.2.0', 'current', 'tries.json'],
      ]);
      expect(changes).toBeLessThan(40);
    }
  });
});
