import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { leafOf, type AuditDraft } from './auditWriter.ts';
import { toCanonicalText } from './jcs.ts';

describe('the canonical text', () => {
  it('is that of RFC 8785 for any JSON, keys that look like numbers included', () => {
    const key = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom('10', '9', '0', '__proto__', 'a', 'B'),
    );
    const json = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        fc.constant(null),
        fc.boolean(),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\u0000')),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(
          key.filter((text) => !text.includes('\u0000')),
          tie('value'),
          { maxKeys: 5 },
        ),
      ),
    })).value;
    fc.assert(
      fc.property(json, (value) => {
        expect(toCanonicalText(value)).toBe(canonicalize(value));
      }),
      { numRuns: 500 },
    );
  });

  it('reproduces the example of the RFC', () => {
    const value = {
      numbers: [333333333.33333329, 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
      string: '\u20ac$\u000f\u000aA\'\u0042\u0022\u005c\\"/',
      literals: [null, true, false],
    };
    expect(toCanonicalText(value)).toBe(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    );
  });

  it('replaces what cannot be stored, leaves out what is undefined, writes dates as text', () => {
    const at = new Date(0);
    expect(toCanonicalText({ b: 'x\u0000\ud800', a: undefined, c: at, d: [undefined] })).toBe(
      '{"b":"x\ufffd\ufffd","c":"1970-01-01T00:00:00.000Z","d":[null]}',
    );
    expect(() => toCanonicalText({ a: Number.NaN })).toThrow('invariant');
  });
});

describe('a leaf', () => {
  const stamp = {
    id: '0199c0de-0000-7000-8000-000000000001',
    tenantId: '0199c0de-0000-7000-8000-00000000000a',
    atMs: 0,
  };
  const draft: AuditDraft = {
    action: 'run.started',
    actorKind: 'system',
    actorId: null,
    subjectType: 'run',
    subjectId: null,
    outcome: 'ok',
    digest: null,
    details: {},
  };

  it('carries its version, identifier, tenant and time beside what the caller said', () => {
    expect(leafOf({ ...draft, tenantId: stamp.tenantId }, stamp)).toEqual({
      ...{ v: 1, id: stamp.id, tenant: stamp.tenantId, at: '1970-01-01T00:00:00.000Z' },
      ...draft,
    });
  });

  it('is refused when a member does not fit the contract', () => {
    expect(() => leafOf({ ...draft, digest: 'abc' }, stamp)).toThrow(/malformed at \/digest/);
    expect(() => leafOf({ ...draft, extra: 1 } as AuditDraft, stamp)).toThrow(/malformed/);
  });
});
