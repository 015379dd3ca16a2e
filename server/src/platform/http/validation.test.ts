import { describe, expect, it } from 'vitest';
import { groupRoutes } from '#contract/groups.ts';
import { AppError } from '../errors.ts';
import { compileChecks } from './validation.ts';

const checks = compileChecks(groupRoutes.createGroup);
const group = {
  name: 'Pair',
  description: '',
  hostIds: ['01a20287-faae-7104-bd9b-fe8548a8c391'],
  budget: { kind: 'max_unavailable', hosts: 1 },
  ordered: false,
};

function problemsOf(body: unknown): readonly string[] {
  try {
    checks.body(body);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return (error.fields ?? []).map(({ path, message }) => `${path} ${message}`);
  }
  return [];
}

describe('a body that has not the form that is asked', () => {
  it('passes when it has', () => {
    expect(problemsOf(group)).toEqual([]);
  });

  it('is told of each member that is missing or unknown, by itself', () => {
    expect(problemsOf({ ...group, budget: { count: 1 } })).toEqual([
      ...[
        '/body/budget/kind is missing',
        '/body/budget/hosts is missing',
        '/body/budget/count is not known here',
      ],
    ]);
  });

  it('is told which values there are', () => {
    expect(problemsOf({ ...group, budget: { kind: 'all', hosts: 1 } })).toEqual([
      '/body/budget/kind must be one of "max_unavailable", "min_up"',
    ]);
  });

  it('is told of an identifier that is none, and not of the expression that found out', () => {
    expect(problemsOf({ ...group, hostIds: ['srv-1'] })).toEqual([
      '/body/hostIds/0 must be an identifier (a UUID in lower case)',
    ]);
  });
});
