import { describe, expect, it } from 'vitest';
import { findProvider, requireSafeOrigin } from './deviceFlow.ts';
import { exitCodes } from './exitCodes.ts';
import { CommandError } from './failures.ts';

describe('where credentials may go', () => {
  it.each([
    ['https://atlas.example:8443/runs?x=1', 'https://atlas.example:8443'],
    ['http://localhost:8443/', 'http://localhost:8443'],
    ['http://127.8.9.1', 'http://127.8.9.1'],
    ['http://[::1]:80', 'http://[::1]'],
  ])('%s is fine', (address, origin) => {
    expect(requireSafeOrigin(address)).toBe(origin);
  });

  it.each([
    'http://atlas.example',
    'http://127.0.0.1.example',
    'http://localhost.example',
    'http://localhost@atlas.example',
    'ftp://localhost',
    'atlas.example',
    '',
  ])('"%s" is refused', (address) => {
    expect(() => requireSafeOrigin(address)).toThrow(CommandError);
  });

  it('is never an identity provider on another origin than the server’s', async () => {
    const identity = { url: 'https://elsewhere.example/idp', realm: 'atlas' };
    await expect(findProvider('https://atlas.example', identity)).rejects.toMatchObject({
      exitCode: exitCodes.refused,
    });
  });
});
