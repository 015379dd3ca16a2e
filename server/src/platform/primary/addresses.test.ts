import { describe, expect, it } from 'vitest';
import { nameOf, splitAddresses } from './addresses.ts';

describe('the addresses of a database', () => {
  it('are each a URI of their own, with role, database and options', () => {
    expect(splitAddresses('postgres://atlas_app:a%2Cb@one:5432,two:5433/atlas?sslmode=require')).toEqual([
      'postgres://atlas_app:a%2Cb@one:5432/atlas?sslmode=require',
      'postgres://atlas_app:a%2Cb@two:5433/atlas?sslmode=require',
    ]);
    expect(splitAddresses('postgresql://atlas_app@127.0.0.1/atlas')).toEqual([
      'postgresql://atlas_app@127.0.0.1/atlas',
    ]);
    expect(splitAddresses('postgres://atlas_app@[::1]:5432,[::2]:5432/atlas')[1]).toBe(
      'postgres://atlas_app@[::2]:5432/atlas',
    );
  });

  it('are refused when they are none', () => {
    expect(() => splitAddresses('mysql://one/atlas')).toThrow(/postgres:/);
  });

  it('are named without the role and its password', () => {
    expect(nameOf('postgres://atlas_app:secret@one/atlas')).toBe('one:5432');
    expect(nameOf('postgres://atlas_app:secret@two:5433/atlas')).toBe('two:5433');
  });
});
