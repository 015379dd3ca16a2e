import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { logOrigin, openCheckpoint, parseCheckpointText, signCheckpoint, type LogKey } from './checkpoint.ts';
import { cosignatureLine, cosignedMessage, verifyCosignature, witnessName } from './cosignature.ts';
import { hashLeaf } from './merkle.ts';
import { noteKeyId, parseNote, rawEd25519, verifierKey } from './note.ts';
import { encodeEntryBundle, listLogFiles, logFilePath, parseLogFilePath } from './tiles.ts';

function newKey() {
  const pair = generateKeyPairSync('ed25519');
  const publicKeySpki = createPublicKey(pair.privateKey).export({ type: 'spki', format: 'der' });
  const key: LogKey = { publicKeySpki, sign: (message) => sign(null, message, pair.privateKey) };
  return key;
}

const origin = logOrigin('0199c0de-0000-7000-8000-000000000001');
const head = { origin, size: 20_852_163, root: hashLeaf(Buffer.from('root')) };

describe('a checkpoint', () => {
  it('opens with the key that signed it and only with that', async () => {
    const key = newKey();
    const note = await signCheckpoint(head, key);
    expect(openCheckpoint(note, { origin, publicKeySpki: key.publicKeySpki })).toEqual(head);
    expect(() => openCheckpoint(note, { origin, publicKeySpki: newKey().publicKeySpki })).toThrow(
      /not signed/,
    );
    expect(() => openCheckpoint(note, { origin: 'atlas/x', publicKeySpki: key.publicKeySpki })).toThrow(
      /another log/,
    );
  });

  it('does not open once any character of it has changed', async () => {
    const key = newKey();
    const note = await signCheckpoint(head, key);
    fc.assert(
      fc.property(
        fc.nat(note.length - 1),
        fc.constantFrom('0', 'A', '\n', ' ', '=', 'é'),
        (at, character) => {
          fc.pre(note[at] !== character);
          const forged = note.slice(0, at) + character + note.slice(at + 1);
          expect(() => openCheckpoint(forged, { origin, publicKeySpki: key.publicKeySpki })).toThrow();
        },
      ),
      { numRuns: 300 },
    );
  });

  it('has one spelling: no leading zero, no extension, no loose base64', () => {
    const root = head.root.toString('base64');
    expect(parseCheckpointText(`a\n7\n${root}\n`).size).toBe(7);
    for (const text of [
      `a\n07\n${root}\n`,
      `a\n7\n${root}\nmore\n`,
      `a\n7\n${root.replace('=', '')}\n`,
      `a\n-7\n${root}\n`,
      `a\n7\n${root}`,
    ]) {
      expect(() => parseCheckpointText(text)).toThrow('malformed');
    }
  });

  it('names its key as the signed-note specification does', () => {
    // Example key of golang.org/x/mod/sumdb/note.
    const raw = Buffer.from('Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8', 'base64').subarray(1);
    const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), raw]);
    expect(verifierKey('sum.golang.org', spki)).toBe(
      'sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8',
    );
  });
});

describe('a cosignature', () => {
  const agentId = '0199c0de-0000-7000-8000-00000000000a';
  const witnessOf = () => {
    const pair = generateKeyPairSync('ed25519');
    const publicKeySpki = pair.publicKey.export({ type: 'spki', format: 'der' });
    return { pair, witness: { agentId, publicKeySpki } };
  };
  const cosign = (timestampS: number) => {
    const { pair, witness } = witnessOf();
    const blob = Buffer.alloc(76);
    noteKeyId(witnessName(agentId), 4, rawEd25519(witness.publicKeySpki)).copy(blob);
    blob.writeBigUInt64BE(BigInt(timestampS), 4);
    sign(null, cosignedMessage(head, timestampS), pair.privateKey).copy(blob, 12);
    return { blob, witness };
  };

  it('counts for the checkpoint, the time and the key that made it', () => {
    const { blob, witness } = cosign(1_800_000_000);
    expect(verifyCosignature(head, blob, witness)).toBe(1_800_000_000);
    expect(verifyCosignature({ ...head, size: head.size - 1 }, blob, witness)).toBeUndefined();
    expect(verifyCosignature(head, blob, witnessOf().witness)).toBeUndefined();
    expect(verifyCosignature(head, blob, { ...witness, agentId: agentId.replace('a', 'b') })).toBeUndefined();
    const laterTime = Buffer.from(blob);
    laterTime.writeBigUInt64BE(1_800_000_001n, 4);
    expect(verifyCosignature(head, laterTime, witness)).toBeUndefined();
    expect(verifyCosignature(head, blob.subarray(0, 75), witness)).toBeUndefined();
  });

  it('can be appended to the checkpoint as a note signature', async () => {
    const key = newKey();
    const { blob } = cosign(1_800_000_000);
    const note = (await signCheckpoint(head, key)) + cosignatureLine(agentId, blob);
    expect(openCheckpoint(note, { origin, publicKeySpki: key.publicKeySpki })).toEqual(head);
    expect(parseNote(note).signatures.map(({ name }) => name)).toEqual([origin, witnessName(agentId)]);
  });
});

describe('the files of a log', () => {
  it('are named as tlog-tiles names them', () => {
    expect(logFilePath({ kind: 'tile', level: 0, index: 1_234_067, width: 256 })).toBe(
      'tile/0/x001/x234/067',
    );
    expect(logFilePath({ kind: 'tile', level: 1, index: 0, width: 57 })).toBe('tile/1/000.p/57');
    expect(logFilePath({ kind: 'entries', index: 273, width: 112 })).toBe('tile/entries/273.p/112');
  });

  it('are found again by their path and by no other spelling', () => {
    fc.assert(
      fc.property(fc.nat(63), fc.nat(10_000_000), fc.integer({ min: 1, max: 256 }), (level, index, width) => {
        const file = { kind: 'tile', level, index, width } as const;
        expect(parseLogFilePath(logFilePath(file))).toEqual(file);
      }),
    );
    for (const path of [
      'tile/0/x000/001',
      'tile/00/001',
      'tile/0/001.p/256',
      'tile/0/001.p/0',
      'tile/0/1',
      '../checkpoint',
      'tile/0/001/',
    ]) {
      expect(parseLogFilePath(path)).toBeUndefined();
    }
  });

  it('of 70,000 entries are the ones that its tree has', () => {
    const paths = [...listLogFiles(70_000)].map(logFilePath);
    expect(paths.at(-1)).toBe('checkpoint');
    expect(paths).toContain('tile/entries/273.p/112');
    expect(paths).toContain('tile/1/000');
    expect(paths).toContain('tile/1/001.p/17');
    expect(paths).toContain('tile/2/000.p/1');
    expect(paths).toHaveLength(274 + 274 + 2 + 1 + 1);
  });

  it('bundle entries behind their 16-bit lengths', () => {
    expect(encodeEntryBundle([Buffer.from('ab'), Buffer.alloc(0)]).toString('hex')).toBe('000261620000');
  });
});
