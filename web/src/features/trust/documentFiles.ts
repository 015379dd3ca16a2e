import type { Envelope } from '#contract/dsse.ts';

/** The envelope without signatures, as a file to take to the root keys. */
export function unsignedEnvelopeFile(draft: { payloadType: string; payload: string }): Blob {
  const envelope: Envelope = { payloadType: draft.payloadType, payload: draft.payload, signatures: [] };
  return new Blob([`${JSON.stringify(envelope, null, 2)}\n`], { type: 'application/json' });
}

/** A DSSE envelope from a file's text, or null; the server judges its signatures. */
export function readEnvelope(text: string): Envelope | null {
  try {
    const value = JSON.parse(text) as Envelope;
    const looksRight =
      typeof value.payload === 'string' &&
      typeof value.payloadType === 'string' &&
      Array.isArray(value.signatures);
    return looksRight ? value : null;
  } catch {
    // A file that is no JSON is no envelope.
    return null;
  }
}

interface RootKey {
  keyId: string;
  publicKey: string;
}

/** Root keys as `atlas policy init-root` writes them in root-keys.json, or one a line as `keyId publicKey` (base64url SPKI). */
export function readRootKeys(text: string): RootKey[] {
  const listed = text.trimStart().startsWith('{') ? readKeyFile(text) : null;
  if (listed !== null) return listed;
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((words) => words.length >= 2)
    .map(([keyId = '', publicKey = '']) => ({ keyId, publicKey: publicKey.replace(/=+$/, '') }));
}

function readKeyFile(text: string): RootKey[] | null {
  try {
    const { rootKeys } = JSON.parse(text) as { rootKeys?: RootKey[] };
    return Array.isArray(rootKeys) ? rootKeys.map(({ keyId, publicKey }) => ({ keyId, publicKey })) : null;
  } catch {
    // No JSON after all: read as lines, of which the server will say what is wrong.
    return null;
  }
}
