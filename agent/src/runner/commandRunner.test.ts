import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Command } from '#contract/agent-link.ts';
import type { CommandResult } from '#contract/results.ts';
import { createWorld, commandFor, releaseFor } from '../../../test/harness/release-world.ts';
import { Journal } from '../journal/journal.ts';
import type { AgentView } from '../verify/agentView.ts';
import { CommandRunner } from './commandRunner.ts';
import { resumeOpenCommands } from './resumption.ts';
import { succeed } from './verb.ts';
import type { VerbActions, VerbTable } from './verb.ts';

const world = createWorld();
const released = releaseFor(world);
let directory: string;
let effects: string[];
let results: CommandResult[];
let alarms: string[];
let journals: Journal[];

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'atlas-runner-'));
  [effects, results, alarms, journals] = [[], [], [], []];
});

afterEach(async () => {
  for (const journal of journals) await journal.close();
  await rm(directory, { recursive: true, force: true });
});

interface Life {
  readonly journal: Journal;
  readonly runner: CommandRunner;
  readonly verbs: VerbTable;
}

/** One life of an agent over the same journal; `act` is what every verb does. */
async function live(act: VerbActions['run'], bootId = 'boot-1'): Promise<Life> {
  const journal = await Journal.open(path.join(directory, 'journal'), Date.now());
  journals.push(journal);
  const { index } = journal;
  const actions: VerbActions = {
    run: async (context) => {
      effects.push(context.command.commandId);
      return act(context);
    },
    probe: ({ intent }) => Promise.resolve(succeed({ bootIdBefore: intent.bootId }, 'ok', 'probed')),
  };
  const verbs = new Proxy({}, { get: () => actions }) as VerbTable;
  const view = (): AgentView => ({
    self: world,
    policy: world.policy,
    nowMs: Date.now(),
    timeFloorMs: 0,
    isKnownCommand: (id) => (index.commands.get(id)?.state ?? 'received') !== 'received',
    highestFence: (id) => index.fences.get(id) ?? 0,
    history: (releaseId, hostRunId) => index.history(releaseId, hostRunId),
    restartsLast24h: 0,
    lock: { seenAtMs: Date.now(), tenantLocked: false, lockedRunIds: [] },
    checkpoints: [],
  });
  const runner = new CommandRunner(
    {
      self: world,
      bootId,
      journal,
      verbs,
      view,
      getBundle: (id) => Promise.resolve(id === released.release.id ? released.bundle : null),
      lockSeen: () => Promise.resolve(),
      onVerified: () => Promise.resolve(),
      onResult: (result) => results.push(result),
      onEnded: () => Promise.resolve(),
      onProgress: () => undefined,
      onAlarm: (code) => alarms.push(code),
    },
    Promise.resolve(),
  );
  return { journal, runner, verbs };
}

const preflight = (bend: Partial<Command> = {}) => ({
  ...commandFor(released, 'preflight', randomUUID()),
  ...bend,
});
const never = () => new Promise<never>(() => undefined);

describe('a command', () => {
  it('runs once however often it is delivered, also at the same moment', async () => {
    const { runner } = await live(() => Promise.resolve(succeed()));
    const command = preflight();
    await Promise.all([runner.accept(command), runner.accept(command), runner.accept(command)]);
    await runner.accept(command);
    expect(effects).toEqual([command.commandId]);
    expect(new Set(results.map((result) => result.seq))).toEqual(new Set([1]));
  });

  it('raises an alarm when its id comes back with other content', async () => {
    const { runner } = await live(() => Promise.resolve(succeed()));
    const command = preflight();
    await runner.accept(command);
    await runner.accept({ ...command, fence: 9 });
    expect(alarms).toEqual(['replayed']);
    expect(effects).toHaveLength(1);
  });

  it('never runs without its release, nor with a fence of a former owner', async () => {
    const { runner } = await live(() => Promise.resolve(succeed()));
    const hostRunId = randomUUID();
    await runner.accept(preflight({ releaseId: randomUUID() }));
    await runner.accept(preflight({ hostRunId, fence: 5 }));
    await runner.accept(preflight({ hostRunId, fence: 4 }));
    expect(results.map((result) => result.code)).toEqual(['order_not_released', 'ok', 'fence_too_low']);
    expect(effects).toHaveLength(1);
  });

  it('ends as our fault when its verb throws', async () => {
    const { runner } = await live(() => Promise.reject(new Error('bug')));
    await runner.accept(preflight());
    expect(results[0]).toMatchObject({ outcome: 'failed', code: 'internal' });
  });

  it('leaves out facts that the contract does not know, and says so', async () => {
    const { runner } = await live(() =>
      Promise.resolve(succeed({ snapshotId: 'a\u0000b' }, 'ok', 'fine\u202e')),
    );
    await runner.accept(preflight());
    expect(results[0]).toMatchObject({ outcome: 'succeeded', facts: {} });
    expect(results[0]?.detail).toContain('left out');
  });

  it('keeps released steps one after the other', async () => {
    let running = 0;
    let most = 0;
    const { runner } = await live(async () => {
      most = Math.max(most, (running += 1));
      await new Promise((resolve) => setTimeout(resolve, 5));
      running -= 1;
      return succeed();
    });
    await Promise.all(Array.from({ length: 8 }, () => runner.accept(preflight())));
    expect(effects).toHaveLength(8);
    expect(most).toBe(1);
  });
});

describe('after the agent was killed', () => {
  it('a started command is probed and never run again', async () => {
    const first = await live(never);
    const command = preflight();
    void first.runner.accept(command);
    await expect.poll(() => effects.length).toBe(1);
    const second = await live(() => Promise.resolve(succeed()), 'boot-2');
    await resumeOpenCommands({ ...second, getBundle: () => Promise.resolve(released.bundle) });
    expect(results).toMatchObject([{ commandId: command.commandId, detail: 'probed', bootId: 'boot-2' }]);
    expect(results[0]?.facts.bootIdBefore).toBe('boot-1');
    await second.runner.accept(command);
    expect(effects).toEqual([command.commandId]);
  });

  it('a command that goes on without the agent stays open until its end is known', async () => {
    const first = await live(never);
    const command = preflight();
    void first.runner.accept(command);
    await expect.poll(() => effects.length).toBe(1);
    const second = await live(never);
    const probe = () => Promise.resolve(null);
    const verbs = new Proxy({}, { get: () => ({ probe }) }) as VerbTable;
    await resumeOpenCommands({ ...second, verbs, getBundle: () => Promise.resolve(released.bundle) });
    expect(results).toEqual([]);
    expect(second.journal.index.open().map((entry) => entry.command.commandId)).toEqual([command.commandId]);
  });

  it('a command that was only received ends as not run', async () => {
    const first = await live(never);
    const command = preflight();
    await first.journal.append({ t: 'received', at: new Date().toISOString(), command });
    const second = await live(() => Promise.resolve(succeed()));
    await resumeOpenCommands({ ...second, getBundle: () => Promise.resolve(null) });
    expect(results).toMatchObject([{ outcome: 'failed', code: 'crashed' }]);
    expect(effects).toEqual([]);
  });

  it('a command that arrives while the past is being settled is not taken for a part of it', async () => {
    const { journal, runner, verbs } = await live(() => Promise.resolve(succeed()));
    const past = journal.index.open();
    const command = preflight();
    await journal.append({ t: 'received', at: new Date().toISOString(), command });
    await resumeOpenCommands({ journal, runner, verbs, getBundle: () => Promise.resolve(null) }, past);
    expect(results).toEqual([]);
    expect(journal.index.open().map((entry) => entry.command.commandId)).toEqual([command.commandId]);
  });
});
