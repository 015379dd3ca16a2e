import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pickNamed, readDocument } from './documentFile.ts';
import { exitCodes } from './exitCodes.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'atlas-document-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const written = (text: string) => {
  const file = path.join(folder, 'document.json');
  writeFileSync(file, text);
  return file;
};

describe('a document in a file', () => {
  it('is read as it stands', () => {
    expect(readDocument(written('{"name":"Annuaire","hostIds":[]}'))).toEqual({
      ...{ name: 'Annuaire', hostIds: [] },
    });
  });

  it.each(['', '{', '[]', 'null', '3'])('is an error of usage when it holds %j', (text) => {
    expect(() => readDocument(written(text))).toThrow(
      expect.objectContaining({ exitCode: exitCodes.usage }) as Error,
    );
  });

  it('is an error of usage when there is no such file', () => {
    expect(() => readDocument(path.join(folder, 'absent.json'))).toThrow(
      expect.objectContaining({ exitCode: exitCodes.usage }) as Error,
    );
  });
});

describe('a name on the command line', () => {
  const items = [
    { id: 'one', name: 'two' },
    { id: 'two', name: 'Annuaire' },
  ];

  it('is an identifier before it is a name', () => {
    expect(pickNamed(items, 'two')).toBe(items[1]);
    expect(pickNamed(items, 'Annuaire')).toBe(items[1]);
  });

  it('of nothing is a failure, not a guess', () => {
    expect(() => pickNamed(items, 'annuaire')).toThrow(
      expect.objectContaining({ exitCode: exitCodes.failed }) as Error,
    );
  });
});
