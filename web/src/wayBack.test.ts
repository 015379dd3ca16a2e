import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ownPath } from './wayBack.ts';

const origin = 'https://atlas.example';

describe('the way back after a sign-in', () => {
  it('is the page that was left, with its query', () => {
    expect(ownPath('/t/1/hosts?status=late', origin)).toBe('/t/1/hosts?status=late');
  });

  it.each([
    '//evil.example/x',
    'https://evil.example/',
    'javascript:alert(1)',
    '\\\\evil.example',
    'http://[',
  ])('is the first page for %s', (wanted) => {
    expect(ownPath(wanted, origin)).toBe('/');
  });

  it('is never the identity provider or the server’s own interface', () => {
    expect(
      ['/idp', '/idp/realms/atlas', '/api/v1/me', '/ws'].map((wanted) => ownPath(wanted, origin)),
    ).toEqual(['/', '/', '/', '/']);
  });

  it('names no other host by two slashes', () => {
    expect(ownPath('/.//evil.example/x', origin)).toBe('/evil.example/x');
  });

  it('stays on this origin whatever was kept', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.webUrl(), fc.webPath()), (wanted) => {
        expect(new URL(ownPath(wanted, origin), origin).origin).toBe(origin);
      }),
    );
  });
});
