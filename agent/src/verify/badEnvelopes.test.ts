import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { payloadTypes } from '#contract/dsse.ts';
import type { ReleaseBundle } from '#contract/trust.ts';
import { commandFor, createWorld, jcs, releaseFor } from '../../../test/harness/release-world.ts';
import type { Released, World } from '../../../test/harness/release-world.ts';
import type { AgentView } from './agentView.ts';
import { verifyReleasedCommand } from './command.verify.ts';

let world: World;
let good: Released;
let foreign: Released;

beforeAll(() => {
  world = createWorld();
  good = releaseFor(world);
  foreign = releaseFor(world, { release: { reason: 'Another reason' } });
});

function view(): AgentView {
  const nowMs = Date.now();
  return {
    self: { tenantId: world.tenantId, hostId: world.hostId, agentId: world.agentId },
    policy: world.policy,
    nowMs,
    timeFloorMs: nowMs,
    isKnownCommand: () => false,
    highestFence: () => 0,
    history: () => [
      { step: 'preflight', state: 'succeeded' },
      { step: 'guard', state: 'succeeded' },
    ],
    restartsLast24h: 0,
    lock: { seenAtMs: nowMs, tenantLocked: false, lockedRunIds: [] },
    checkpoints: [],
  };
}

function isAccepted(bundle: ReleaseBundle, released = good): boolean {
  const verdict = verifyReleasedCommand(commandFor(released, 'install', randomUUID()), bundle, view());
  return !('code' in verdict);
}

function flipBit(text: string, at: number): string {
  const bytes = Buffer.from(text, 'base64url');
  const index = at % (bytes.length * 8);
  bytes[index >> 3] = (bytes[index >> 3] ?? 0) ^ (1 << (index & 7));
  return bytes.toString('base64url');
}

type SignatureField = 'authenticatorData' | 'clientDataJSON' | 'signature';

function withSignature(
  bundle: ReleaseBundle,
  n: number,
  change: (s: Record<string, unknown>) => void,
): ReleaseBundle {
  const copy = structuredClone(bundle);
  change(copy.envelope.signatures[n] as unknown as Record<string, unknown>);
  return copy;
}

/** Spellings of the same document that a lenient reader would take for the signed one. */
const respellings: [string, (payload: string) => string][] = [
  ['a space', (p) => p.replace('{', '{ ')],
  ['a trailing newline', (p) => `${p}\n`],
  ['a trailing zero byte', (p) => `${p}\0`],
  ['a second document', (p) => `${p}{}`],
  ['a comment', (p) => `${p}//`],
  ['an escaped letter', (p) => p.replace('"class"', '"cl\\u0061ss"')],
  [
    'another order of members',
    (p) => JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(p) as object).reverse())),
  ],
  ['a number written otherwise', (p) => p.replace('"v":1', '"v":1.0')],
  [
    'an upper-case identifier',
    (p) => p.replace(/"id":"[^"]+"/, (id) => id.toUpperCase().replace('"ID"', '"id"')),
  ],
  ['a full-width digit', (p) => p.replace('"class":"R2"', '"class":"R\uff12"')],
  ['a zero-width space', (p) => p.replace('Monthly', 'Mon\u200bthly')],
  ['a right-to-left override', (p) => p.replace('Monthly', '\u202eMonthly')],
  ['a decomposed letter', (p) => p.replace('updates', 'upda\u0301tes')],
  ['a lone surrogate', (p) => p.replace('Monthly', '\\ud800Monthly')],
  ['a prototype member', (p) => p.replace('{', '{"__proto__":{"class":"R3"},')],
  ['a duplicate class, last', (p) => p.replace(/}$/, ',"class":"R3"}')],
  ['a duplicate class, first', (p) => p.replace('{', '{"class":"R3",')],
  ['a longer window', (p) => p.replace(/"notAfter":"20/, '"notAfter":"29')],
  ['more targets', (p) => p.replace('"targetsCount":5', '"targetsCount":50')],
  ['another requester', (p) => p.replace(/"requester":"[^"]+"/, `"requester":"${randomUUID()}"`)],
  ['infinity', (p) => p.replace('"targetsCount":5', '"targetsCount":1e999')],
  ['nothing', () => ''],
  ['null', () => 'null'],
  ['a list', (p) => `[${p}]`],
  ['deep nesting', () => '['.repeat(10_000)],
];

describe('no bad envelope is accepted', () => {
  it('while the good one is', () => {
    expect(isAccepted(good.bundle)).toBe(true);
  });

  it.each(respellings)('with a payload changed by %s', (_what, change) => {
    const bundle = structuredClone(good.bundle);
    const text = Buffer.from(bundle.envelope.payload, 'base64url').toString();
    bundle.envelope.payload = Buffer.from(change(text)).toString('base64url');
    expect(isAccepted(bundle)).toBe(false);
  });

  it('with any bit flipped in payload, target, leaf or proof', () => {
    const places: ((bundle: ReleaseBundle, at: number) => void)[] = [
      (b, at) => (b.envelope.payload = flipBit(b.envelope.payload, at)),
      (b, at) => (b.target = flipBit(b.target, at)),
      (b, at) => (b.audit.leaf = flipBit(b.audit.leaf, at)),
      (b, at) => (b.targetProof[at % 3] = 'ab'.repeat(32)),
      (b, at) => (b.audit.proof[at % b.audit.proof.length] = 'cd'.repeat(32)),
    ];
    fc.assert(
      fc.property(fc.nat(), fc.constantFrom(...places), (at, change) => {
        const bundle = structuredClone(good.bundle);
        change(bundle, at);
        return !isAccepted(bundle);
      }),
      { numRuns: 300 },
    );
  });

  it('with any bit flipped in a signature or in what it covers', () => {
    const fields: SignatureField[] = ['authenticatorData', 'clientDataJSON', 'signature'];
    fc.assert(
      fc.property(fc.nat(), fc.constantFrom(...fields), fc.nat(1), (at, field, n) => {
        const bundle = withSignature(good.bundle, n, (s) => (s[field] = flipBit(String(s[field]), at)));
        return !isAccepted(bundle);
      }),
      { numRuns: 300 },
    );
  });

  it('with any character of the checkpoint changed', () => {
    fc.assert(
      fc.property(fc.nat(), fc.constantFrom('A', '0', '\n', ' ', '—', '\r'), (at, character) => {
        const bundle = structuredClone(good.bundle);
        const note = bundle.audit.checkpoint;
        const index = at % note.length;
        if (note[index] === character) return true;
        bundle.audit.checkpoint = note.slice(0, index) + character + note.slice(index + 1);
        return !isAccepted(bundle);
      }),
      { numRuns: 300 },
    );
  });

  it('with parts swapped between two valid releases', () => {
    const swaps: ((b: ReleaseBundle) => void)[] = [
      (b) => (b.envelope.payload = foreign.bundle.envelope.payload),
      (b) => (b.envelope.signatures = foreign.bundle.envelope.signatures),
      (b) => (b.envelope.signatures[1] = foreign.bundle.envelope.signatures[1]!),
      (b) => (b.envelope = foreign.bundle.envelope),
      (b) => (b.target = foreign.bundle.target),
      (b) => (b.targetProof = foreign.bundle.targetProof),
      (b) => (b.audit = foreign.bundle.audit),
      (b) => (b.audit.leaf = foreign.bundle.audit.leaf),
      (b) => (b.audit.checkpoint = foreign.bundle.audit.checkpoint),
    ];
    const accepted = swaps.filter((swap) => {
      const bundle = structuredClone(good.bundle);
      swap(bundle);
      return isAccepted(bundle);
    });
    expect(accepted).toEqual([]);
  });

  it('with a signature moved to another kind, key or place', () => {
    const [first, second] = good.bundle.envelope.signatures;
    const changes: ((s: Record<string, unknown>) => void)[] = [
      (s) => (s['keyid'] = second!.keyid),
      (s) => (s['keyid'] = ''),
      (s) => Object.assign(s, second, { keyid: first!.keyid }),
      (s) => (s['kind'] = 'ed25519'),
      (s) => (s['kind'] = 'none'),
      (s) => (s['alg'] = 'none'),
      (s) => (s['signature'] = ''),
      (s) => (s['signature'] = `${String(s['signature'])}=`),
      (s) => (s['signature'] = `${String(s['signature'])}AA`),
      (s) => (s['clientDataJSON'] = Buffer.from('{}').toString('base64url')),
      (s) => (s['authenticatorData'] = `${String(s['authenticatorData'])}AAAA`),
    ];
    const accepted = changes.filter((change) => isAccepted(withSignature(good.bundle, 0, change)));
    expect(accepted).toEqual([]);
  });

  it('with bundles that are no bundles', () => {
    const bundles: unknown[] = [
      { ...good.bundle, extra: 1 },
      { ...good.bundle, envelope: { ...good.bundle.envelope, signatures: [] } },
      { ...good.bundle, envelope: { ...good.bundle.envelope, payloadType: payloadTypes.lock } },
      { ...good.bundle, targetIndex: -1 },
      { ...good.bundle, targetIndex: 3.5 },
      { ...good.bundle, targetIndex: '3' },
      { ...good.bundle, targetProof: [] },
      { ...good.bundle, targetProof: [...good.bundle.targetProof, 'ab'.repeat(32)] },
      { ...good.bundle, targetProof: good.bundle.targetProof.map((hash) => hash.toUpperCase()) },
    ];
    expect(bundles.filter((bundle) => isAccepted(bundle as ReleaseBundle))).toEqual([]);
  });

  it('with random documents that people never signed', () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        const bundle = structuredClone(good.bundle);
        bundle.envelope.payload = Buffer.from(json).toString('base64url');
        return !isAccepted(bundle);
      }),
      { numRuns: 200 },
    );
  });

  it('with a node of the tree passed off as a target', () => {
    const released = releaseFor(world, { targetBytes: (bytes) => Buffer.concat([Buffer.from([1]), bytes]) });
    expect(isAccepted(released.bundle, released)).toBe(false);
  });

  it('with a target that only the server wants', () => {
    const bundle = structuredClone(good.bundle);
    bundle.target = jcs({ ...good.target, wave: 9 }).toString('base64url');
    expect(isAccepted(bundle)).toBe(false);
  });
});
