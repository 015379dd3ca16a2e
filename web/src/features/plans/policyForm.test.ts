import { describe, expect, it } from 'vitest';
import { Value } from 'typebox/value';
import { MaintenancePolicyBody } from '#contract/plans.ts';
import { bodyOf, newPolicy, readUnits, writeUnits } from './policyForm.ts';

describe('units as people type them', () => {
  it('keep their order, have 30 s unless said otherwise, and are services unless said otherwise', () => {
    expect(readUnits('nginx.service 45\n\n  app \ncron.timer 5')).toEqual({
      units: [
        { unit: 'nginx.service', withinS: 45 },
        { unit: 'app.service', withinS: 30 },
        { unit: 'cron.timer', withinS: 5 },
      ],
    });
  });

  it('are written as they are read', () => {
    const units = [
      { unit: 'nginx.service', withinS: 45 },
      { unit: 'app@1.socket', withinS: 1 },
    ];
    expect(readUnits(writeUnits(units))).toEqual({ units });
  });

  it('are given back when they make no sense, or would stop ATLAS itself', () => {
    for (const line of ['rm -rf /', 'nginx 91', 'nginx 0', '--force', 'atlas-agent', 'nginx; true', 'a b c'])
      expect(readUnits(`cron\n${line}`)).toEqual({ wrong: line });
    expect(readUnits(Array.from({ length: 17 }, (_, n) => `u${n}`).join('\n'))).toEqual({ wrong: 'u16' });
  });

  it('are taken by the server whenever the form takes them', () => {
    const read = readUnits('nginx.service 90\napp@1 1\nx.socket');
    const policy = { ...newPolicy(), name: 'p', drain: { hookWithinS: 60, ...read } };
    expect(Value.Check(MaintenancePolicyBody, policy)).toBe(true);
    expect(bodyOf(policy as MaintenancePolicyBody)).toEqual(policy);
  });
});
