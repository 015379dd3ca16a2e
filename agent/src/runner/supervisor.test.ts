import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Guardian } from '../guard/guardian.ts';
import { HostRunStore } from '../guard/hostRunStore.ts';
import type { HostRunRecord } from '../guard/hostRunStore.ts';
import { Supervisor } from './supervisor.ts';

const hostRunId = '0199d4a0-0000-7000-8000-000000000001';
const record: HostRunRecord = {
  v: 1,
  hostRunId,
  releaseId: hostRunId,
  runId: hostRunId,
  fence: 1,
  tier: 'btrfs',
  snapshotPath: '/snapshots/one',
  snapshotUuid: 'uuid',
  rootId: 256,
  confirmWithinS: 600,
  silentS: 60,
  state: 'guarded',
  installedAtMs: null,
  verifyFailedAtMs: null,
  verifyFailure: null,
  verifiedAtMs: null,
  expiresAtMs: null,
};
let directory: string;
let guardian: Guardian;
let runs: HostRunStore;
let link: { isUp: boolean; heardMs: number | null; isIdle: boolean; startedAtMs: number };
let faults: string[];
const nowMs = Date.now();

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'atlas-supervisor-'));
  for (const name of ['guardian', 'runs']) await mkdir(path.join(directory, name));
  await writeFile(path.join(directory, 'script'), '#!/bin/sh\nexit 0\n', { mode: 0o755 });
  guardian = new Guardian(directory, path.join(directory, 'script'));
  runs = new HostRunStore(path.join(directory, 'runs'));
  link = { isUp: true, heardMs: nowMs, isIdle: true, startedAtMs: nowMs - 3_600_000 };
  faults = [];
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

async function look(change: Partial<HostRunRecord>, atMs = nowMs): Promise<void> {
  await runs.put({ ...record, ...change });
  const revert = { hostRunId, releaseId: hostRunId, snapshotPath: '/snapshots/one' };
  await guardian.arm({ ...revert, deadlineMs: nowMs + 600_000, silentDeadlineMs: null });
  const supervisor = new Supervisor({
    guardian,
    runs,
    isLinkUp: () => link.isUp,
    lastHeardMs: () => link.heardMs,
    isIdle: () => link.isIdle,
    startedAtMs: link.startedAtMs,
    onFault: (detail) => faults.push(detail),
  });
  await supervisor.tick(atMs);
  expect(supervisor.armedUntil).not.toBeNull();
}

describe('an armed guard', () => {
  it('is left alone while the update goes on', async () => {
    await look({});
    expect(await guardian.readFiring()).toBeNull();
  });

  it('fires at once when checks failed and the server is out of reach', async () => {
    link = { ...link, isUp: false, heardMs: nowMs - 6000 };
    await look({ verifyFailedAtMs: nowMs, verifyFailure: 'tcp 80: closed' });
    expect(await guardian.readFiring()).toMatchObject({ by: 'agent', reason: 'tcp 80: closed', hostRunId });
    expect(await guardian.readArmed()).toBeNull();
  });

  it('waits for the server’s word when it is there, and decides alone when none comes', async () => {
    await look({ verifyFailedAtMs: nowMs });
    expect(await guardian.readFiring()).toBeNull();
    await look({ verifyFailedAtMs: nowMs }, nowMs + 61_000);
    expect(await guardian.readFiring()).toMatchObject({ by: 'agent' });
  });

  it('waits through a short break of the connection', async () => {
    link = { ...link, isUp: false, heardMs: nowMs - 1000 };
    await look({ verifyFailedAtMs: nowMs });
    expect(await guardian.readFiring()).toBeNull();
  });

  it('gets a deadline of silence after green checks, counted from the server’s last word', async () => {
    await look({ verifiedAtMs: nowMs - 30_000 });
    const silentMs = (await guardian.readArmed())?.silentDeadlineMs ?? 0;
    expect(Math.abs(silentMs - (nowMs + 60_000))).toBeLessThan(2000);
  });

  it('fires when the update is in, the next order never came and the server is silent for too long', async () => {
    link = { ...link, isUp: false, heardMs: nowMs - 61_000 };
    await look({ installedAtMs: nowMs - 90_000 });
    expect(await guardian.readFiring()).toMatchObject({
      by: 'guardian',
      reason: 'no word from the server for 60 s',
    });
  });

  it('does not count silence while a command runs, while the server is there, or from before a restart', async () => {
    const installed = { installedAtMs: nowMs - 90_000 };
    link = { ...link, isUp: false, heardMs: nowMs - 61_000, isIdle: false };
    await look(installed);
    link = { ...link, isUp: true, isIdle: true };
    await look(installed);
    link = { ...link, isUp: false, heardMs: null, startedAtMs: nowMs - 59_000 };
    await look(installed);
    expect(await guardian.readFiring()).toBeNull();
  });

  it('says so when the revert cannot begin', async () => {
    await writeFile(path.join(directory, 'script'), '#!/bin/sh\necho no space >&2\nexit 1\n', {
      mode: 0o755,
    });
    link = { ...link, isUp: false, heardMs: null };
    await look({ verifyFailedAtMs: nowMs });
    expect(faults).toEqual(['no space']);
  });
});

describe('an order to go back', () => {
  const decision = { hostRunId, releaseId: hostRunId, snapshotPath: '/snapshots/one', reason: 'red' };

  it('joins the host that goes back by itself: the root is turned once, and the order has its answer', async () => {
    const script = `#!/bin/sh
file=$1/guardian/firing
grep -q switched_ms "$file" || echo "switched_ms=$(grep -c . "$1/guardian/firing")" >>"$file"
`;
    await writeFile(path.join(directory, 'script'), script, { mode: 0o755 });
    await guardian.arm({ ...decision, deadlineMs: nowMs + 600_000, silentDeadlineMs: null });
    await guardian.fire({ ...decision, by: 'agent', commandId: null, detectedAtMs: nowMs });
    const alone = await guardian.readFiring();
    const commandId = '01935b6c-0000-7000-8000-000000000009';
    await guardian.fire({ ...decision, by: 'order', commandId, detectedAtMs: nowMs + 5 });
    expect(await guardian.readFiring()).toEqual({ ...alone, by: 'order', commandId });
    expect(alone?.switchedAtMs).not.toBeNull();
  });

  it('of another host run is a revert of its own', async () => {
    await writeFile(path.join(directory, 'script'), '#!/bin/sh\n', { mode: 0o755 });
    await guardian.arm({ ...decision, deadlineMs: nowMs + 600_000, silentDeadlineMs: null });
    await guardian.fire({ ...decision, by: 'agent', commandId: null, detectedAtMs: nowMs });
    const other = { ...decision, hostRunId: '01935b6c-0000-7000-8000-000000000008' };
    await guardian.fire({ ...other, by: 'order', commandId: null, detectedAtMs: nowMs });
    expect((await guardian.readFiring())?.hostRunId).toBe(other.hostRunId);
  });
});

describe('a commit at the same moment', () => {
  const revert = { hostRunId, releaseId: hostRunId, snapshotPath: '/snapshots/one' };

  it('leaves nothing armed, whoever wants to move the deadline', async () => {
    await runs.put({ ...record, verifiedAtMs: nowMs });
    for (let round = 0; round < 20; round += 1) {
      await guardian.arm({ ...revert, deadlineMs: nowMs + 600_000, silentDeadlineMs: null });
      const supervisor = new Supervisor({
        ...{ guardian, runs, isLinkUp: () => true, lastHeardMs: () => nowMs, isIdle: () => true },
        ...{ startedAtMs: nowMs, onFault: (detail: string) => faults.push(detail) },
      });
      const looking = supervisor.tick(nowMs + 10_000);
      // Somewhere between the supervisor's look and what it makes of it.
      for (let turn = 0; turn < round; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      expect(await guardian.disarm()).toBe(true);
      await looking;
      expect(await guardian.readArmed()).toBeNull();
    }
  });

  it('is not turned back by a decision that comes after it', async () => {
    await guardian.arm({ ...revert, deadlineMs: nowMs + 600_000, silentDeadlineMs: null });
    const decision = { ...revert, by: 'agent' as const, reason: 'red', commandId: null, detectedAtMs: nowMs };
    const [isCommitted] = await Promise.all([guardian.disarm(), guardian.fire(decision)]);
    expect(isCommitted).toBe(true);
    expect(await guardian.readFiring()).toBeNull();
  });
});
