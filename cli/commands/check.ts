import type { Command } from 'commander';
import { StackError } from '../../stack/text.ts';
import { listChecks, runChecks } from '../checks.ts';
import type { CliContext } from '../context.ts';
import { exitCodes } from '../exitCodes.ts';

/** `check`: the answer a developer waits for, in less than 90 seconds. */
export function registerCheck(program: Command, context: CliContext): void {
  program
    .command('check [names...]')
    .description(
      context.text([
        'mise en forme, règles, types, frontières, code mort, essais unitaires (< 90 s)',
        'format, rules, types, fences, dead code, unit tests (< 90 s)',
      ]),
    )
    .action(async (names: string[]) => {
      const known = listChecks(context.directories).map(({ name }) => name);
      const unknown = names.filter((name) => !known.includes(name)).join(', ');
      if (unknown !== '') {
        const list = known.join(', ');
        return context.fail(
          new StackError([
            `contrôle inconnu : ${unknown} ; il y a ${list}`,
            `unknown check: ${unknown}; there are ${list}`,
          ]),
          exitCodes.usage,
        );
      }
      const startedAtMs = performance.now();
      const totals = await runChecks(context, names);
      const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
      context.say(`${totals.passed} passed, ${totals.failed} failed (${seconds} s)`);
      context.answer(totals);
      if (totals.failed > 0 || totals.passed === 0) process.exitCode = exitCodes.failed;
    });
}
