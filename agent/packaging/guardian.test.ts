import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Guardian, parseLines } from '../src/guard/guardian.ts';

const run = promisify(execFile);
const script = path.join(import.meta.dirname, 'guardian.sh');
let state: string;
let bin: string;

/** Stands in for btrfs-progs: notes what it is asked and answers as btrfs does. */
const fakeBtrfs = `#!/bin/sh
echo "$*" >>"$FAKE_LOG"
case "$1 $2" in
  'subvolume snapshot') [ -e "$FAKE_FAIL" ] && exit 1; mkdir "$4" ;;
  'inspect-internal rootid') case $3 in *.root) echo 300 ;; *) echo 256 ;; esac ;;
esac
`;

beforeEach(async () => {
  state = await mkdtemp(path.join(tmpdir(), 'atlas-guardian-'));
  bin = path.join(state, 'bin');
  for (const name of ['guardian', 'snapshots', 'bin']) await mkdir(path.join(state, name));
  await mkdir(path.join(state, 'snapshots/run-1'));
  await writeFile(path.join(bin, 'btrfs'), fakeBtrfs);
  await chmod(path.join(bin, 'btrfs'), 0o755);
});

afterEach(async () => {
  await rm(state, { recursive: true, force: true });
});

async function tick(): Promise<{ ok: boolean; calls: string; isRebooted: boolean }> {
  const log = path.join(state, 'calls');
  const rebooted = path.join(state, 'rebooted');
  const env = {
    PATH: `${bin}:/usr/sbin:/usr/bin:/sbin:/bin`,
    FAKE_LOG: log,
    FAKE_FAIL: path.join(state, 'fail'),
    ATLAS_GUARDIAN_REBOOT: `touch ${rebooted}`,
  };
  const ok = await run('sh', [script, state, '/'], { env }).then(
    () => true,
    () => false,
  );
  const text = (file: string) => readFile(file, 'utf8').catch(() => null);
  return { ok, calls: (await text(log)) ?? '', isRebooted: (await text(rebooted)) !== null };
}

async function arm(bend: { deadlineMs?: number; silentDeadlineMs?: number | null } = {}): Promise<Guardian> {
  const guardian = new Guardian(state);
  await guardian.arm({
    hostRunId: 'run-1',
    releaseId: 'release-1',
    snapshotPath: path.join(state, 'snapshots/run-1'),
    deadlineMs: Date.now() + 600_000,
    silentDeadlineMs: null,
    ...bend,
  });
  return guardian;
}

async function edit(name: string, change: (lines: Map<string, string>) => void): Promise<void> {
  const file = path.join(state, 'guardian', name);
  const lines = parseLines(await readFile(file, 'utf8'));
  change(lines);
  await writeFile(file, [...lines].map(([key, value]) => `${key}=${value}\n`).join(''));
}

describe('the guardian', () => {
  it('does nothing when nothing is armed, or before the deadline', async () => {
    expect(await tick()).toMatchObject({ ok: true, calls: '', isRebooted: false });
    await arm();
    expect(await tick()).toMatchObject({ ok: true, calls: '', isRebooted: false });
  });

  it('reverts after the deadline, and tells when and why', async () => {
    const guardian = await arm({ deadlineMs: Date.now() - 1000 });
    const { ok, calls, isRebooted } = await tick();
    expect({ ok, isRebooted }).toEqual({ ok: true, isRebooted: true });
    expect(calls).toContain('subvolume set-default 300 /');
    expect(await guardian.readArmed()).toBeNull();
    expect(await guardian.readFiring()).toMatchObject({
      hostRunId: 'run-1',
      by: 'guardian',
      reason: 'no commit before the deadline',
      newRootId: 300,
      oldRootId: 256,
    });
  });

  it('reverts earlier when the server stays silent after green checks', async () => {
    const guardian = await arm({ silentDeadlineMs: Date.now() - 1000 });
    expect((await tick()).isRebooted).toBe(true);
    expect((await guardian.readFiring())?.reason).toContain('silent');
  });

  it('does not care about the clock in the boot that armed it', async () => {
    await arm();
    await edit('armed', (lines) => lines.set('deadline_s', '1'));
    expect((await tick()).isRebooted).toBe(false);
  });

  it('goes by the clock after a restart', async () => {
    await arm();
    await edit('armed', (lines) => {
      lines.set('boot_id', 'another');
      lines.set('deadline_s', '1');
    });
    expect((await tick()).isRebooted).toBe(true);
  });

  it('leaves the rest to the agent once the host has restarted', async () => {
    await arm({ deadlineMs: Date.now() - 1000 });
    await tick();
    await rm(path.join(state, 'rebooted'));
    await edit('firing', (lines) => lines.set('boot_id', 'the one before'));
    expect((await tick()).isRebooted).toBe(false);
  });

  it('tries again when a revert failed, and switches the root only once', async () => {
    await arm({ deadlineMs: Date.now() - 1000 });
    await writeFile(path.join(state, 'fail'), '');
    expect(await tick()).toMatchObject({ ok: false, isRebooted: false });
    await rm(path.join(state, 'fail'));
    expect(await tick()).toMatchObject({ ok: true, isRebooted: true });
    const { calls } = await tick();
    expect(calls.match(/set-default/g)).toHaveLength(1);
  });

  it('never touches a snapshot that is not its own, and evaluates nothing', async () => {
    for (const evil of ['/etc', '$(touch x)', `${state}/../other`]) {
      await rm(path.join(state, 'guardian/firing'), { force: true });
      await arm({ deadlineMs: Date.now() - 1000 });
      await edit('armed', (lines) => lines.set('snapshot', evil));
      expect(await tick()).toMatchObject({ ok: false, isRebooted: false });
    }
  });

  it('is disarmed by a commit, which loses when the guardian was faster', async () => {
    const guardian = await arm({ deadlineMs: Date.now() - 1000 });
    expect(await guardian.disarm()).toBe(true);
    expect((await tick()).isRebooted).toBe(false);
    await arm({ deadlineMs: Date.now() - 1000 });
    await tick();
    expect(await guardian.disarm()).toBe(false);
  });
});
