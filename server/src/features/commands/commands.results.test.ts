import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { payloadTypes, type Envelope } from '#contract/dsse.ts';
import { packResults, unpackResults, type CommandResult } from '#contract/results.ts';
import { newId } from '../../platform/ids.ts';
import { preAuthEncoding, ResultRefused, resultKey, verifyResults } from './commands.results.ts';

const pair = generateKeyPairSync('ed25519');
const key = resultKey(pair.publicKey.export({ type: 'spki', format: 'der' }));
const origin = { agentId: newId(), hostId: newId() };
const at = '2026-05-01T10:00:00.000Z';

function resultOf(seq: number, more: Partial<CommandResult> = {}): CommandResult {
  return {
    v: 1,
    seq,
    agent: origin.agentId,
    host: origin.hostId,
    commandId: newId(),
    verb: 'agent.noop',
    ...{ releaseId: null, runId: null, hostRunId: null, step: null, fence: 0 },
    ...{ outcome: 'succeeded', code: 'ok', detail: '', facts: {}, startedAt: at, endedAt: at },
    ...{ bootId: 'boot', journalHead: 'a'.repeat(64) },
    ...more,
  };
}

function seal(payload: Buffer, payloadType: string = payloadTypes.results): Envelope {
  const signature = sign(null, preAuthEncoding(payloadType, payload), pair.privateKey);
  return {
    payloadType,
    payload: payload.toString('base64url'),
    signatures: [{ kind: 'ed25519', keyid: 'test', signature: signature.toString('base64url') }],
  };
}

const order = { releaseId: newId(), runId: newId(), hostRunId: newId(), step: 'install', fence: 3 } as const;
const results = [
  resultOf(7),
  resultOf(8, { ...order, verb: 'updates.install', facts: { freeBytes: 12 }, detail: 'two packages' }),
  resultOf(9, { outcome: 'failed', code: 'timed_out', startedAt: null }),
];
const bytes = Buffer.from(JSON.stringify(packResults(results)));

async function reasonOf(envelope: Envelope, from = origin): Promise<string> {
  const refused = await verifyResults(envelope, key, from).catch((error: unknown) => error);
  return refused instanceof ResultRefused ? refused.reason : 'accepted';
}

describe('a batch of results', () => {
  it('says of each result what was packed', () => {
    const batch = packResults(results);
    if (batch === undefined) throw new Error('nothing was packed');
    expect(unpackResults(batch)).toEqual(results);
  });

  it('is accepted whole under one signature', async () => {
    const verified = await verifyResults(seal(bytes), key, origin);
    expect(verified.results).toEqual(results);
    expect(verified.payload).toEqual(bytes);
  });

  it.each(['"timed_out"', '"seq":8', 'two packages', order.hostRunId])(
    'is refused whole when one result in it was altered: %s',
    async (said) => {
      const sealed = seal(bytes);
      const lie = bytes.toString().replace(said, said.replace(/[a-z0-9](?=[^a-z0-9]*$)/, '0x'));
      expect(lie).not.toBe(bytes.toString());
      const payload = Buffer.from(lie).toString('base64url');
      expect(await reasonOf({ ...sealed, payload })).toBe('signature');
    },
  );

  it('is refused when it speaks of another agent or host, though the signature holds', async () => {
    expect(await reasonOf(seal(bytes), { ...origin, agentId: newId() })).toBe('origin');
    expect(await reasonOf(seal(bytes), { ...origin, hostId: newId() })).toBe('origin');
  });

  it('is refused when it is signed as something else, empty, too long or no batch', async () => {
    expect(await reasonOf(seal(bytes, payloadTypes.lock))).toBe('payload_type');
    const batch = packResults(results);
    expect(await reasonOf(seal(Buffer.from(JSON.stringify({ ...batch, results: [] }))))).toBe('schema');
    const many = packResults(Array.from({ length: 201 }, (_, index) => resultOf(index + 1)));
    expect(await reasonOf(seal(Buffer.from(JSON.stringify(many))))).toBe('schema');
    expect(await reasonOf(seal(Buffer.from(JSON.stringify(results[0]))))).toBe('schema');
    expect(await reasonOf(seal(Buffer.from('no JSON')))).toBe('json');
  });
});
