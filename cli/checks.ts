import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Directories } from '../stack/directories.ts';
import type { Text } from '../stack/text.ts';
import type { CliContext } from './context.ts';
import { addTotals, noTests, runProgram, runVitest, tool } from './suite.ts';
import type { Totals } from './suite.ts';

type Check = {
  name: string;
  title: Text;
  run: () => Promise<Totals & { output: string; elapsedMs: number }>;
};

const parallelChecks = 2;

/** Format, lint, types, fences, dead code, generated documents, unit tests, two at a time; the long ones begin first. */
export function listChecks(directories: Directories): Check[] {
  const hasWeb = existsSync(path.join(directories.root, 'web', 'tsconfig.json'));
  const tools = toolChecks(directories).filter((check) => hasWeb || check.name !== 'components');
  const unit: Check = {
    name: 'unit',
    title: ['essais unitaires', 'unit tests'],
    run: () => runVitest(directories, 'unit', true),
  };
  return [...tools.slice(0, 3), unit, ...tools.slice(3)];
}

function toolChecks(directories: Directories): Check[] {
  const cache = (name: string): string => path.join(directories.cacheDir, 'checks', name);
  const check = (name: string, title: Text, [script, ...args]: [string, ...string[]]): Check => ({
    name,
    title,
    run: async () => {
      const line = script.startsWith('cli/') ? [process.execPath, script] : tool(directories, script);
      const run = await runProgram(directories, [...line, ...args], { quiet: true });
      const ok = run.exitCode === 0;
      if (ok) return { ...run, ...noTests, passed: 1 };
      return { ...run, ...noTests, failed: 1, failures: [`${name}: status ${run.exitCode}, see above`] };
    },
  });
  const lintCache = ['--cache', '--cache-strategy', 'content', '--cache-location', cache('eslint/')];
  const fences = ['.', '--config', '.dependency-cruiser.mjs', '--output-type', 'err'];
  const webConfig = path.join(directories.root, 'web', 'tsconfig.json');
  const components = ['--workspace', 'web', '--tsconfig', webConfig, '--output', 'human'];
  const types = ['--noEmit', '-p', '.', '--incremental', '--tsBuildInfoFile', cache('tsc.tsbuildinfo')];
  const format = ['--check', '.', '--cache', '--cache-location', cache('prettier')];
  return [
    check('lint', ['règles', 'rules'], ['eslint/bin/eslint.js', '.', '--max-warnings', '0', ...lintCache]),
    check('components', ['composants', 'components'], ['svelte-check/bin/svelte-check', ...components]),
    check('types', ['types', 'types'], ['typescript/bin/tsc', ...types]),
    check('fences', ['frontières', 'fences'], ['dependency-cruiser/bin/dependency-cruiser.mjs', ...fences]),
    check('format', ['mise en forme', 'format'], ['prettier/bin/prettier.cjs', ...format]),
    check(
      'dead code',
      ['code mort', 'dead code'],
      ['knip/bin/knip.js', '--no-progress', '--no-config-hints'],
    ),
    check('generated', ['documents générés', 'generated documents'], ['cli/main.ts', 'gen', '--check']),
  ];
}

/** Runs every check, says one line each, and the whole output of those that fail. */
export async function runChecks(context: CliContext, only: string[] = []): Promise<Totals> {
  const waiting = listChecks(context.directories).filter(
    (check) => only.length === 0 || only.includes(check.name),
  );
  let totals = noTests;
  const work = async (): Promise<void> => {
    for (let check = waiting.shift(); check !== undefined; check = waiting.shift()) {
      const run = await check.run();
      totals = addTotals(totals, run);
      const mark = run.failed === 0 ? '✓' : '✗';
      context.say(`  ${mark} ${context.text(check.title).padEnd(18)} ${(run.elapsedMs / 1000).toFixed(1)} s`);
      if (run.failed > 0) context.say(run.output.trimEnd());
    }
  };
  await Promise.all(Array.from({ length: parallelChecks }, work));
  return totals;
}
