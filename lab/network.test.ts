import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseSubnetPrefix, parseRange } from './network.ts';

describe('the subnet of a lab', () => {
  it('reads addresses and networks, and takes anything else for nothing', () => {
    expect(parseRange('10.0.0.0/30')).toEqual({ first: 167772160, last: 167772163 });
    expect(parseRange('10.0.0.2/30')).toEqual(parseRange('10.0.0.0/30'));
    expect(parseRange('10.0.0.1')).toEqual({ first: 167772161, last: 167772161 });
    expect(parseRange('default')).toBeUndefined();
  });

  it('never overlaps what the machine already uses', () => {
    const octet = fc.integer({ min: 0, max: 255 });
    const network = fc
      .tuple(fc.integer({ min: 100, max: 199 }), octet, octet, fc.integer({ min: 12, max: 32 }))
      .map(([second, third, fourth, length]) => `10.${second}.${third}.${fourth}/${length}`);
    const labId = fc.integer({ min: 0, max: 0xffffffff }).map((value) => value.toString(16).padStart(8, '0'));
    fc.assert(
      fc.property(labId, fc.array(network, { maxLength: 5 }), (id, taken) => {
        const own = parseRange(`${chooseSubnetPrefix(id, taken)}.0/24`);
        for (const range of taken.map(parseRange)) {
          const apart =
            own !== undefined && range !== undefined && (range.last < own.first || own.last < range.first);
          expect(apart).toBe(true);
        }
      }),
    );
  });

  it('is another one for another lab, and refuses when the whole range is taken', () => {
    expect(chooseSubnetPrefix('00000100', [])).not.toBe(chooseSubnetPrefix('00020100', []));
    const refused = expect.objectContaining({ code: 'no_free_subnet' }) as Error;
    expect(() => chooseSubnetPrefix('00000000', ['10.0.0.0/8'])).toThrow(refused);
  });
});
