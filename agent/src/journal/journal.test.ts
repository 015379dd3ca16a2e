import { randomUUID } from 'node:crypto';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Command } from '#contract/agent-link.ts';
import { JournalCorrupt } from './frames.ts';
import { Journal } from './journal.ts';
import type { ResultBody } from './journal.record.ts';

let directory: string;
let file: string;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'atlas-journal-'));
  file = path.join(directory, 'journal');
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

const runId = randomUUID();
const hostRunId = randomUUID();

function commandOf(step: Command['step'] = 'install'): Command {
  return {
    commandId: randomUUID(),
    verb: 'updates.install',
    releaseId: runId,
    runId,
    hostRunId,
    step,
    fence: 4,
  };
}

function resultOf(command: Command, seq: number, outcome: ResultBody['outcome'] = 'succeeded'): ResultBody {
  return {
    v: 1,
    seq,
    agent: runId,
    host: runId,
    commandId: command.commandId,
    verb: command.verb,
    releaseId: command.releaseId,
    runId: command.runId,
    hostRunId: command.hostRunId,
    step: command.step,
    fence: command.fence,
    outcome,
    code: outcome === 'succeeded' ? 'ok' : 'package_failed',
    detail: '',
    facts: {},
    startedAt: null,
    endedAt: new Date().toISOString(),
    bootId: 'boot',
  };
}

async function runThrough(
  journal: Journal,
  command: Command,
  keepUntil = '2099-01-01T00:00:00.000Z',
): Promise<void> {
  const at = new Date().toISOString();
  await journal.append({ t: 'received', at, command });
  await journal.append({ t: 'verified', commandId: command.commandId, keepUntil });
  await journal.append({ t: 'started', commandId: command.commandId, at, intent: { bootId: 'boot' } });
  await journal.append({
    t: 'done',
    commandId: command.commandId,
    result: resultOf(command, journal.index.lastSeq + 1),
  });
}

describe('the journal', () => {
  it('remembers commands, fences, history and results over a restart', async () => {
    const journal = await Journal.open(file, Date.now());
    const [done, open] = [commandOf('guard'), commandOf('install')];
    await runThrough(journal, done);
    await journal.append({ t: 'received', at: new Date().toISOString(), command: open });
    const head = journal.head;
    await journal.close();

    const again = await Journal.open(file, Date.now());
    expect(again.head).toBe(head);
    expect(again.index.commands.get(done.commandId)?.result?.seq).toBe(1);
    expect(again.index.open().map((entry) => entry.command.commandId)).toEqual([open.commandId]);
    expect(again.index.fences.get(hostRunId)).toBe(4);
    expect(again.index.history(runId, hostRunId)).toEqual([{ step: 'guard', state: 'succeeded' }]);
    expect([...again.index.unheld.keys()]).toEqual([1]);
    await again.append({ t: 'acked', upTo: 1 });
    expect(again.index.unheld.size).toBe(0);
    await again.close();
  });

  it('gives each result the hash of the journal up to its own entry', async () => {
    const journal = await Journal.open(file, Date.now());
    const command = commandOf();
    await runThrough(journal, command);
    expect(journal.index.commands.get(command.commandId)?.result?.journalHead).toBe(journal.head);
    await journal.close();
  });

  it('gives every result that is not held, also the first one of a command that has two', async () => {
    const journal = await Journal.open(file, Date.now());
    const command = commandOf();
    await runThrough(journal, command);
    const first = journal.index.commands.get(command.commandId)?.result;
    if (!first) throw new Error('there is no result');
    await journal.append({ t: 'done', commandId: command.commandId, result: { ...first, seq: 2 } });
    expect(journal.index.resultsAfter(0).map(({ seq }) => seq)).toEqual([1, 2]);
    await journal.close();
  });

  it('gives again what the server once held, to one that was put back to an older state', async () => {
    const journal = await Journal.open(file, Date.now());
    for (let n = 0; n < 3; n += 1) await runThrough(journal, commandOf());
    await journal.append({ t: 'acked', upTo: 3 });
    await journal.close();
    const again = await Journal.open(file, Date.now());
    expect(again.index.unheld.size).toBe(0);
    expect(again.index.resultsAfter(1).map(({ seq }) => seq)).toEqual([2, 3]);
    expect(again.index.resultsAfter(3)).toEqual([]);
    await again.close();
  });

  it('tells when the disk has refused a record, and takes none after it', async () => {
    const journal = await Journal.open(file, Date.now());
    // As a disk that has gone: the file cannot be written any more.
    await journal.close();
    const record = { t: 'restart', at: 'now', why: 'x' } as const;
    await expect(journal.append(record)).rejects.toThrow('the journal cannot be written');
    expect((await journal.failed).message).toBe('the journal cannot be written');
    await expect(journal.append(record)).rejects.toThrow('the journal cannot be written');
  });

  it('keeps the order of appends that were not waited for', async () => {
    const journal = await Journal.open(file, Date.now());
    const commands = Array.from({ length: 200 }, () => commandOf());
    await Promise.all(commands.map((command) => journal.append({ t: 'received', at: 'now', command })));
    const head = journal.head;
    await journal.close();
    const again = await Journal.open(file, Date.now());
    expect([...again.index.commands.keys()]).toEqual(commands.map((command) => command.commandId));
    expect(again.head).toBe(head);
    await again.close();
  });

  it('drops a torn tail at each byte of the last frame, and only that frame', async () => {
    const journal = await Journal.open(file, Date.now());
    await runThrough(journal, commandOf());
    const before = (await readFile(file)).length;
    await journal.append({ t: 'received', at: 'now', command: commandOf() });
    await journal.close();
    const whole = await readFile(file);
    const torn = path.join(directory, 'torn');
    for (let size = before; size < whole.length; size += 1) {
      await writeFile(torn, whole.subarray(0, size));
      const opened = await Journal.open(torn, Date.now());
      expect(opened.index.commands.size).toBe(1);
      expect(opened.tornBytes).toBe(size - before);
      await opened.close();
      expect((await readFile(torn)).length).toBe(before);
    }
  });

  it('drops a tail that the file system left as zeros', async () => {
    const journal = await Journal.open(file, Date.now());
    await runThrough(journal, commandOf());
    await journal.close();
    await writeFile(file, Buffer.concat([await readFile(file), Buffer.alloc(4096)]));
    const again = await Journal.open(file, Date.now());
    expect(again.tornBytes).toBe(4096);
    expect(again.index.commands.size).toBe(1);
    await again.close();
  });

  it('detects each of 1,000 flipped bits', async () => {
    const journal = await Journal.open(file, Date.now());
    for (let n = 0; n < 3; n += 1) await runThrough(journal, commandOf());
    await journal.close();
    const whole = await readFile(file);
    const flipped = path.join(directory, 'flipped');
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length * 8 - 1), async (bit) => {
        const bytes = Buffer.from(whole);
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        await writeFile(flipped, bytes);
        await expect(Journal.open(flipped, Date.now())).rejects.toBeInstanceOf(JournalCorrupt);
      }),
      { numRuns: 1000 },
    );
  });

  it('detects a frame taken out of the middle', async () => {
    const journal = await Journal.open(file, Date.now());
    await journal.append({ t: 'restart', at: 'one', why: 'x' });
    const one = (await readFile(file)).length;
    await journal.append({ t: 'restart', at: 'two', why: 'x' });
    const two = (await readFile(file)).length;
    await journal.append({ t: 'restart', at: 'three', why: 'x' });
    await journal.close();
    const whole = await readFile(file);
    await writeFile(file, Buffer.concat([whole.subarray(0, one), whole.subarray(two)]));
    await expect(Journal.open(file, Date.now())).rejects.toBeInstanceOf(JournalCorrupt);
  });

  it('compacts without forgetting what could still be replayed or is not held', async () => {
    const journal = await Journal.open(file, Date.now());
    const [old, recent, unheld] = [commandOf(), commandOf(), commandOf()];
    await runThrough(journal, old, '2020-01-01T00:00:00.000Z');
    await runThrough(journal, recent);
    await journal.append({ t: 'acked', upTo: 2 });
    await runThrough(journal, unheld, '2020-01-01T00:00:00.000Z');
    const signedHead = journal.index.unheld.get(3)?.journalHead;
    const filler = 'x'.repeat(1 << 20);
    for (let n = 0; n < 9; n += 1)
      await journal.append({ t: 'restart', at: '2020-01-01T00:00:00.000Z', why: filler });
    await journal.close();
    const again = await Journal.open(file, Date.now());
    expect((await readFile(file)).length).toBeLessThan(20_000);
    expect([...again.index.commands.keys()]).toEqual([recent.commandId, unheld.commandId]);
    expect(again.index.unheld.get(3)?.journalHead).toBe(signedHead);
    expect(again.index.lastSeq).toBe(3);
    await again.close();
    await copyFile(file, `${file}.copy`);
    const third = await Journal.open(`${file}.copy`, Date.now());
    expect(third.index.heldUpTo).toBe(2);
    await third.close();
  });
});
