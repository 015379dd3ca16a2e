import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import type { Directories } from '../stack/directories.ts';
import { readJson } from '../stack/files.ts';

/** Tests that ran, as the runner itself counted them, and what failed, in words: place, title, first line of why. */
export type Totals = { passed: number; failed: number; skipped: number; failures: string[] };

export const noTests: Totals = { passed: 0, failed: 0, skipped: 0, failures: [] };

export function addTotals(a: Totals, b: Totals): Totals {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
    failures: [...a.failures, ...b.failures],
  };
}

type VitestTest = { status: string; fullName: string; failureMessages?: string[] };
type VitestFile = { name: string; status: string; message?: string; assertionResults: VitestTest[] };
type VitestReport = {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  success: boolean;
  testResults: VitestFile[];
};

const noReport = 'the runner left no report: it was ended, or could not begin';

function outsideOfTests(exitCode: number): string {
  return `status ${exitCode} although every test passed: an error outside of any test, see above`;
}

/** First line of a runner's message, without colours. */
function firstLine(message: string | undefined): string {
  return (
    stripVTControlCharacters(message ?? '')
      .trim()
      .split('\n')[0] ?? ''
  );
}

function describeFailures(file: VitestFile): string[] {
  if (file.status === 'failed' && file.assertionResults.length === 0)
    return [`${file.name}: ${firstLine(file.message)}`];
  return file.assertionResults
    .filter((test) => test.status === 'failed')
    .map((test) => `${file.name} › ${test.fullName}: ${firstLine(test.failureMessages?.[0])}`);
}

/** Counts of a vitest JSON report; a file that could not even be loaded counts as one failure. */
export function countVitest(report: VitestReport | undefined, exitCode: number): Totals {
  if (report === undefined) return { ...noTests, failed: 1, failures: [noReport] };
  const unloaded = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  );
  const failed = report.numFailedTests + unloaded.length;
  const skipped = report.numPendingTests + report.numTodoTests;
  const failures = report.testResults.flatMap(describeFailures);
  // An error outside of any test (a lost promise, a hook) fails the run though every test passed.
  const hidden = exitCode !== 0 && failed === 0 ? 1 : 0;
  if (hidden > 0) failures.push(outsideOfTests(exitCode));
  return { passed: report.numPassedTests, failed: failed + hidden, skipped, failures };
}

type PlaywrightSpec = {
  title: string;
  file: string;
  tests: { status: string; results: { error?: { message?: string } }[] }[];
};
type PlaywrightSuite = { specs: PlaywrightSpec[]; suites?: PlaywrightSuite[] };
type PlaywrightReport = {
  stats: { expected: number; unexpected: number; flaky: number; skipped: number };
  suites: PlaywrightSuite[];
  errors?: { message?: string }[];
};

function listSpecs(suite: PlaywrightSuite): PlaywrightSpec[] {
  return [...suite.specs, ...(suite.suites ?? []).flatMap(listSpecs)];
}

function describeSpec({ file, title, tests }: PlaywrightSpec): string[] {
  return tests
    .filter(({ status }) => status === 'unexpected' || status === 'flaky')
    .map(
      ({ results }) => `${file} › ${title}: ${firstLine(results.find(({ error }) => error)?.error?.message)}`,
    );
}

/** Counts of a Playwright JSON report; a test that passed only on a second try counts as failed. */
export function countPlaywright(report: PlaywrightReport | undefined, exitCode: number): Totals {
  if (report === undefined) return { ...noTests, failed: 1, failures: [noReport] };
  const { expected, unexpected, flaky, skipped } = report.stats;
  const failed = unexpected + flaky;
  const failures = report.suites.flatMap(listSpecs).flatMap(describeSpec);
  failures.push(...(report.errors ?? []).map(({ message }) => firstLine(message)));
  const hidden = exitCode !== 0 && failed === 0 ? 1 : 0;
  if (hidden > 0) failures.push(outsideOfTests(exitCode));
  return { passed: expected, failed: failed + hidden, skipped, failures };
}

export type Run = { exitCode: number; output: string; elapsedMs: number };

/** Runs a program of the repository; its output goes through, or is kept when `quiet`. */
export async function runProgram(
  directories: Directories,
  line: string[],
  options: { quiet?: boolean; env?: NodeJS.ProcessEnv } = {},
): Promise<Run> {
  const startedAtMs = performance.now();
  const logFile = path.join(directories.cacheDir, 'runs', `${process.pid}-${Math.round(startedAtMs)}.log`);
  mkdirSync(path.dirname(logFile), { recursive: true });
  const log = options.quiet === true ? openSync(logFile, 'w') : undefined;
  const [file = '', ...args] = line;
  const child = spawn(file, args, {
    cwd: directories.root,
    stdio: log === undefined ? ['ignore', 'inherit', 'inherit'] : ['ignore', log, log],
    env: { ...process.env, ...options.env },
  });
  const exitCode = await new Promise<number>((resolve) => {
    child.once('error', () => resolve(127));
    child.once('exit', (code) => resolve(code ?? 1));
  });
  if (log !== undefined) closeSync(log);
  const output = log === undefined ? '' : readFileSync(logFile, 'utf8');
  return { exitCode, output, elapsedMs: performance.now() - startedAtMs };
}

/** A program of node_modules, run by the Node that runs us. */
export function tool(directories: Directories, name: string, ...args: string[]): string[] {
  return [process.execPath, path.join(directories.root, 'node_modules', name), ...args];
}

/** Runs one vitest project and counts. */
export async function runVitest(
  directories: Directories,
  project: string,
  quiet = false,
): Promise<Totals & Run> {
  const reportFile = path.join(directories.cacheDir, 'runs', `${project}-${process.pid}.json`);
  const reporters = [
    `--reporter=${quiet ? 'dot' : 'default'}`,
    '--reporter=json',
    `--outputFile.json=${reportFile}`,
  ];
  const line = tool(directories, 'vitest/vitest.mjs', 'run', `--project=${project}`, ...reporters);
  const run = await runProgram(directories, line, { quiet });
  return { ...run, ...countVitest(readJson<VitestReport>(reportFile), run.exitCode) };
}

/** Runs the browser tests and counts. */
export async function runPlaywright(directories: Directories, config: string): Promise<Totals> {
  const reportFile = path.join(directories.cacheDir, 'runs', `playwright-${process.pid}.json`);
  const line = tool(directories, '@playwright/test/cli.js', 'test', '-c', config, '--reporter=list,json');
  const run = await runProgram(directories, line, { env: { PLAYWRIGHT_JSON_OUTPUT_FILE: reportFile } });
  return countPlaywright(readJson<PlaywrightReport>(reportFile), run.exitCode);
}
