import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Db } from './db.ts';
import { invariant } from './errors.ts';

export interface SecretStore {
  /** The secret in clear, or null when there is none. Throws when it was altered or moved to another name. */
  readonly get: (name: string) => Promise<Buffer | null>;
  /** The secret of that name; `make` is called when there is none, and whoever stores first wins for everybody. */
  readonly getOrCreate: (name: string, make: () => Buffer | Promise<Buffer>) => Promise<Buffer>;
  /** Keeps the secret under that name, in place of an older one. */
  readonly set: (name: string, secret: Buffer) => Promise<void>;
  /** Forgets the secret; nothing when there is none. */
  readonly remove: (name: string) => Promise<void>;
}

const algorithm = 'aes-256-gcm';
const nonceBytes = 12;
const tagBytes = 16;

/** AES-256-GCM: nonce, ciphertext, tag. `context` is authenticated and must be the same to open. */
export function seal(key: Buffer, clear: Buffer, context: string): Buffer {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv(algorithm, key, nonce, { authTagLength: tagBytes }).setAAD(
    Buffer.from(context),
  );
  return Buffer.concat([nonce, cipher.update(clear), cipher.final(), cipher.getAuthTag()]);
}

/** Opens what `seal` made; throws when a bit, the key or the context differs. */
export function unseal(key: Buffer, sealed: Buffer, context: string): Buffer {
  invariant(sealed.length >= nonceBytes + tagBytes, 'a sealed secret is too short');
  const decipher = createDecipheriv(algorithm, key, sealed.subarray(0, nonceBytes), {
    authTagLength: tagBytes,
  });
  decipher.setAAD(Buffer.from(context));
  decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
  return Buffer.concat([
    decipher.update(sealed.subarray(nonceBytes, sealed.length - tagBytes)),
    decipher.final(),
  ]);
}

/** Reads the key-encryption key: 32 bytes, or their 64 hexadecimal or 44 base64 characters. */
export async function readKeyEncryptionKey(file: string): Promise<Buffer> {
  const raw = await readFile(file);
  if (raw.length === 32) return raw;
  const text = raw.toString('ascii').trim();
  const key = /^[0-9a-f]{64}$/i.test(text) ? Buffer.from(text, 'hex') : Buffer.from(text, 'base64');
  if (key.length !== 32) throw new Error(`${file} does not hold a key of 256 bits`);
  return key;
}

/** Each secret has its own data key, wrapped by the key-encryption key; both are bound to the secret's name. */
export function createSecretStore(db: Db, keyEncryptionKey: Buffer): SecretStore {
  const open = (name: string, row: { wrapped_key: Buffer; sealed: Buffer }): Buffer =>
    unseal(unseal(keyEncryptionKey, row.wrapped_key, `key:${name}`), row.sealed, `secret:${name}`);

  const get = async (name: string): Promise<Buffer | null> => {
    const row = await db.inSystem('secrets.read', (tx) =>
      tx
        .selectFrom('sealed_secrets')
        .select(['wrapped_key', 'sealed'])
        .where('name', '=', name)
        .executeTakeFirst(),
    );
    return row === undefined ? null : open(name, row);
  };

  const sealRow = (name: string, clear: Buffer): { name: string; wrapped_key: Buffer; sealed: Buffer } => {
    const dataKey = randomBytes(32);
    return {
      name,
      wrapped_key: seal(keyEncryptionKey, dataKey, `key:${name}`),
      sealed: seal(dataKey, clear, `secret:${name}`),
    };
  };

  const getOrCreate = async (name: string, make: () => Buffer | Promise<Buffer>): Promise<Buffer> => {
    const present = await get(name);
    if (present !== null) return present;
    const row = sealRow(name, await make());
    await db.inSystem('secrets.store', (tx) =>
      tx
        .insertInto('sealed_secrets')
        .values(row)
        .onConflict((conflict) => conflict.doNothing())
        .execute(),
    );
    const stored = await get(name);
    invariant(stored !== null, `the secret ${name} was stored and is not there`);
    return stored;
  };

  const set = async (name: string, secret: Buffer): Promise<void> => {
    const { wrapped_key, sealed } = sealRow(name, secret);
    await db.inSystem('secrets.replace', (tx) =>
      tx
        .insertInto('sealed_secrets')
        .values({ name, wrapped_key, sealed })
        .onConflict((conflict) => conflict.column('name').doUpdateSet({ wrapped_key, sealed }))
        .execute(),
    );
  };

  const remove = async (name: string): Promise<void> => {
    await db.inSystem('secrets.remove', (tx) =>
      tx.deleteFrom('sealed_secrets').where('name', '=', name).execute(),
    );
  };

  return { get, getOrCreate, set, remove };
}
