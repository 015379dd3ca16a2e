import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Directories } from '../stack/directories.ts';
import { readJson } from '../stack/files.ts';

/** Tests that ran, as the runner itself counted them. */
export type Totals = { passed: number; failed: number; skipped: number };

export const noTests: Totals = { passed: 0, failed: 0, skipped: 0 };

export function addTotals(a: Totals, b: Totals): Totals {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped };
}

type VitestFile = { status: string; assertionResults: unknown[] };
type VitestReport = {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  success: boolean;
  testResults: VitestFile[];
};

/** Counts of a vitest JSON report; a file that could not even be loaded counts as one failure. */
export function countVitest(report: VitestReport | undefined, exitCode: number): Totals {
  if (report === undefined) return { ...noTests, failed: 1 };
  const unloaded = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  );
  const failed = report.numFailedTests + unloaded.length;
  const skipped = report.numPendingTests + report.numTodoTests;
  // An error outside of any test (a lost promise, a hook) fails the run though every test passed.
  const hidden = exitCode !== 0 && failed === 0 ? 1 : 0;
  return { passed: report.numPassedTests, failed: failed + hidden, skipped };
}

type PlaywrightReport = { stats: { expected: number; unexpected: number; flaky: number; skipped: number } };

/** Counts of a Playwright JSON report; a test that passed only on a second try counts as failed. */
export function countPlaywright(report: PlaywrightReport | undefined, exitCode: number): Totals {
  if (report === undefined) return { ...noTests, failed: 1 };
  const { expected, unexpected, flaky, skipped } = report.stats;
  const failed = unexpected + flaky;
  return { passed: expected, failed: failed + (exitCode !== 0 && failed === 0 ? 1 : 0), skipped };
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
