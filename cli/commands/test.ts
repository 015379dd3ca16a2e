import type { Command } from 'commander';
import { StackError } from '../../stack/text.ts';
import type { CliContext } from '../context.ts';
import { exitCodes } from '../exitCodes.ts';
import { addTotals, noTests } from '../suite.ts';
import type { Totals } from '../suite.ts';
import { partSuites, prepareSuite, suites } from '../suites.ts';
import type { Suite } from '../suites.ts';

/** `test [suite…]`: every suite in order, or those named. The last line is `N passed, N failed`, with `, N skipped`. */
export function registerTest(program: Command, context: CliContext): void {
  const names = [...suites, ...partSuites].map((suite) => suite.name).join(', ');
  program
    .command('test [suites...]')
    .description(context.text([`tous les essais, ou : ${names}`, `all tests, or: ${names}`]))
    .action(async (wanted: string[]) => {
      const unknown = wanted.filter((name) => find(name) === undefined);
      if (unknown.length > 0) return sayUnknown(context, unknown, names);
      const chosen = wanted.length === 0 ? suites : wanted.flatMap((name) => find(name) ?? []);
      const totals = await runAll(context, chosen);
      if (totals.failed > 0 || totals.passed === 0) process.exitCode = exitCodes.failed;
      context.answer(totals);
      for (const failure of totals.failures) context.say(`  ✗ ${failure}`);
      // The very last line, in the form that every reader of test output knows.
      const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : '';
      context.say(`${totals.passed} passed, ${totals.failed} failed${skipped}`);
    });
}

function find(name: string): Suite | undefined {
  return [...suites, ...partSuites].find((suite) => suite.name === name);
}

function sayUnknown(context: CliContext, unknown: string[], names: string): void {
  const list = unknown.join(', ');
  context.fail(
    new StackError([
      `suite inconnue : ${list} ; il y a ${names}`,
      `unknown suite: ${list}; there are ${names}`,
    ]),
    exitCodes.usage,
  );
}

async function runAll(context: CliContext, chosen: Suite[]): Promise<Totals> {
  let totals = noTests;
  for (const suite of chosen) {
    if (!suite.hasTests(context.directories.root)) {
      context.say([`— ${suite.name} : pas encore d’essai`, `— ${suite.name}: no test yet`]);
      continue;
    }
    context.say(`— ${suite.name} : ${context.text(suite.title)}`);
    const startedAtMs = performance.now();
    const result = await runOne(context, suite);
    const failures = result.failures.map((failure) => `${suite.name}: ${failure}`);
    totals = addTotals(totals, { ...result, failures });
    const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
    context.say(`— ${suite.name} : ${result.passed} ✓ ${result.failed} ✗ (${seconds} s)`);
  }
  return totals;
}

/** A suite that cannot even begin is a failure, said, and the next one runs. */
async function runOne(context: CliContext, suite: Suite): Promise<Totals> {
  try {
    await prepareSuite(context, suite);
    return await suite.run(context);
  } catch (error) {
    context.fail(error);
    const reason = error instanceof Error ? error.message : String(error);
    return { ...noTests, failed: 1, failures: [reason] };
  }
}
