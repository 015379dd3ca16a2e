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
    expect(countVitest(report, 0)).toEqual({ passed: 5, failed: 0, skipped: 1, failures: [] });
  });

  it('counts a file that could not be loaded as a failure', () => {
    const testResults = [
      { name: 'runs.test.ts', status: 'failed', message: 'no such import', assertionResults: [] },
    ];
    const totals = countVitest({ ...report, success: false, testResults }, 1);
    expect(totals).toMatchObject({ failed: 1, failures: ['runs.test.ts: no such import'] });
  });

  it('counts an error outside of every test as a failure', () => {
    const totals = countVitest({ ...report, success: false }, 1);
    expect(totals.failed).toBe(1);
    expect(totals.failures).toEqual([expect.stringContaining('outside of any test')]);
  });

  it('names what failed, where, and the first line of why', () => {
    const failed = {
      status: 'failed',
      fullName: 'a run ends',
      failureMessages: ['\u001B[31mexpected 1 to be 2\u001B[39m\n    at runs.test.ts:7'],
    };
    const passed = { status: 'passed', fullName: 'a run begins' };
    const testResults = [{ name: 'runs.test.ts', status: 'failed', assertionResults: [passed, failed] }];
    const totals = countVitest({ ...report, numFailedTests: 1, success: false, testResults }, 1);
    expect(totals.failures).toEqual(['runs.test.ts › a run ends: expected 1 to be 2']);
  });

  it('counts a runner that left no report as a failure', () => {
    const totals = countVitest(undefined, 137);
    expect(totals).toMatchObject({ passed: 0, failed: 1, skipped: 0 });
    expect(totals.failures).toEqual([expect.stringContaining('no report')]);
    expect(countPlaywright(undefined, 1)).toMatchObject({ passed: 0, failed: 1, skipped: 0 });
  });

  it('counts a browser test that passed only on a second try as failed', () => {
    const stats = { expected: 3, unexpected: 1, flaky: 1, skipped: 0 };
    const spec = (title: string, status: string, message?: string) => ({
      title,
      file: 'job.spec.ts',
      tests: [{ status, results: [message === undefined ? {} : { error: { message } }] }],
    });
    const inner = { specs: [spec('signs', 'unexpected', 'no button\nCall log')] };
    const suites = [
      { specs: [spec('plans', 'expected'), spec('runs', 'flaky', 'too late')], suites: [inner] },
    ];
    expect(countPlaywright({ stats, suites }, 1)).toEqual({
      passed: 3,
      failed: 2,
      skipped: 0,
      failures: ['job.spec.ts › runs: too late', 'job.spec.ts › signs: no button'],
    });
  });
});
