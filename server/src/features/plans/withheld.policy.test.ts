import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { leaveOut, leftOutOf, onlyLeftOut, type Withheld } from './withheld.policy.ts';

const exception = { id: 'e', reason: 'Le logiciel métier casse', expiresAt: '2026-12-24T12:00:00.000Z' };
const quarantine: Withheld = {
  update: { name: 'openssl', version: '2' },
  hostIds: null,
  exception: null,
};

const anyUpdate = fc.record({ name: fc.constantFrom('a', 'b'), version: fc.constantFrom('1', '2') });
const anyHost = fc.constantFrom('h1', 'h2', 'h3');
const anyWithheld: fc.Arbitrary<Withheld> = fc.record({
  update: fc.option(anyUpdate, { nil: null }),
  hostIds: fc.option(
    fc.uniqueArray(anyHost).map((ids) => new Set(ids)),
    { nil: null },
  ),
  exception: fc.option(fc.constant(exception), { nil: null }),
});

describe('what is not installed', () => {
  it('is exactly what one of the reasons names, there', () => {
    fc.assert(
      fc.property(anyHost, anyUpdate, fc.array(anyWithheld, { maxLength: 6 }), (hostId, update, all) => {
        const named = all.filter(
          (one) =>
            (one.hostIds?.has(hostId) ?? true) &&
            (one.update === null ||
              JSON.stringify(one.update) === JSON.stringify({ name: update.name, version: update.version })),
        );
        const left = leaveOut(hostId, update, all);
        expect(left === null).toBe(named.length === 0);
        expect(left?.code === 'exempted').toBe(named.length > 0 && named[0]?.exception !== null);
      }),
    );
  });

  it('is another version of the same package no longer', () => {
    expect(leaveOut('h1', { name: 'openssl', version: '2' }, [quarantine])?.code).toBe('quarantined');
    expect(leaveOut('h1', { name: 'openssl', version: '3' }, [quarantine])).toBeNull();
  });

  it('is said once for an update of two architectures', () => {
    const pending = (arch: string) => ({
      ...{ name: 'openssl', version: '2', arch, fromVersion: '1', origin: 'o', security: true },
      ...{ downloadBytes: 1, sha256: null },
    });
    expect(leftOutOf('h1', [pending('amd64'), pending('i386')], [quarantine])).toHaveLength(1);
  });
});

describe('a host for which nothing is left', () => {
  it('is explained by the reason that people gave, when there is one', () => {
    const failed = { name: 'openssl', version: '2', code: 'quarantined' as const };
    const exempted = { name: 'nginx', version: '1', code: 'exempted' as const, exception };
    expect(onlyLeftOut([failed], failed)).toEqual({
      ...{ code: 'only_quarantined', values: { count: 1, first: 'openssl' } },
    });
    expect(onlyLeftOut([failed, exempted], failed)).toEqual({
      code: 'only_exempted',
      values: { count: 2, first: 'nginx', reason: exception.reason },
    });
  });
});
