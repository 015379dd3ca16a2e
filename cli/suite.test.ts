import { describe, expect, it } from 'vitest';
import { countPlaywright, countVitest } from './suite.ts';

const report = {
  numPassedTests: 5,
  numFailedTests: 0,
  numPendingTests: 1,
  numTodoTests: 0,
  success: true,
  testResults: [],
};

describe('counting tests', () => {
  it('takes the counts of the runner', () => {
    expect(countVitest(report, 0)).toEqual({ passed: 5, failed: 0, skipped: 1 });
  });

  it('counts a file that could not be loaded as a failure', () => {
    const testResults = [{ status: 'failed', assertionResults: [] }];
    expect(countVitest({ ...report, success: false, testResults }, 1).failed).toBe(1);
  });

  it('counts an error outside of every test as a failure', () => {
    expect(countVitest({ ...report, success: false }, 1).failed).toBe(1);
  });

  it('counts a runner that left no report as a failure', () => {
    expect(countVitest(undefined, 137)).toEqual({ passed: 0, failed: 1, skipped: 0 });
    expect(countPlaywright(undefined, 1)).toEqual({ passed: 0, failed: 1, skipped: 0 });
  });

  it('counts a browser test that passed only on a second try as failed', () => {
    const stats = { expected: 3, unexpected: 1, flaky: 1, skipped: 0 };
    expect(countPlaywright({ stats }, 1)).toEqual({ passed: 3, failed: 2, skipped: 0 });
  });
});
