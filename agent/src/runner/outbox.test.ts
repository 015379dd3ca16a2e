import { generateKeyPairSync } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { AgentFrame } from '#contract/agent-link.ts';
import { unpackResults, type CommandResult, type ResultBatch } from '#contract/results.ts';
import { ResultOutbox } from './outbox.ts';

const at = '2026-05-01T10:00:00.000Z';

function resultOf(seq: number, more: Partial<CommandResult> = {}): CommandResult {
  return {
    ...{ v: 1, seq, agent: 'agent', host: 'host', commandId: `command-${seq}`, verb: 'agent.noop' },
    ...{ releaseId: null, runId: null, hostRunId: null, step: null, fence: 0 },
    ...{ outcome: 'succeeded', code: 'ok', detail: '', facts: {}, startedAt: at, endedAt: at },
    ...{ bootId: 'boot', journalHead: 'a'.repeat(64) },
    ...more,
  };
}

function openOutbox() {
  const sent: number[][] = [];
  const { privateKey } = generateKeyPairSync('ed25519');
  const outbox = new ResultOutbox({ id: 'key', privateKey }, (frame: AgentFrame) => {
    if (frame.type !== 'results') throw new Error('only results are sent');
    for (const { payload } of frame.envelopes) {
      const batch = JSON.parse(Buffer.from(payload, 'base64url').toString()) as ResultBatch;
      sent.push(unpackResults(batch).map(({ seq }) => seq));
    }
    return true;
  });
  return { outbox, sent };
}

describe('the outbox of results', () => {
  it('signs once what ends in the same turn', async () => {
    const { outbox, sent } = openOutbox();
    for (const seq of [1, 2, 3]) outbox.add(resultOf(seq));
    expect(sent).toEqual([]);
    await turn();
    outbox.add(resultOf(4));
    await turn();
    expect(sent).toEqual([[1, 2, 3], [4]]);
  });

  it('sends a result once that was asked for twice in the same turn', async () => {
    const { outbox, sent } = openOutbox();
    for (const seq of [1, 2, 1]) outbox.add(resultOf(seq));
    await turn();
    expect(sent).toEqual([[1, 2]]);
  });

  it('sends in the order of the numbers, 200 to a signature', () => {
    const { outbox, sent } = openOutbox();
    outbox.deliver(Array.from({ length: 450 }, (_, index) => resultOf(450 - index)));
    expect(sent.map(({ length }) => length)).toEqual([200, 200, 50]);
    expect(sent.flat()).toEqual(Array.from({ length: 450 }, (_, index) => index + 1));
  });

  it('begins another signature at a restart of the host, and before what is too much for one', () => {
    const { outbox, sent } = openOutbox();
    outbox.deliver([resultOf(1), resultOf(2, { bootId: 'next' }), resultOf(3, { bootId: 'next' })]);
    expect(sent).toEqual([[1], [2, 3]]);
    sent.length = 0;
    outbox.deliver([4, 5, 6].map((seq) => resultOf(seq, { detail: 'x'.repeat(40_000) })));
    expect(sent).toEqual([[4, 5], [6]]);
  });
});
