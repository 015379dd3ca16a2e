import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { logFileOf } from '../../stack/logFile.ts';
import { StackError } from '../../stack/text.ts';
import type { CliContext } from '../context.ts';
import { exitCodes } from '../exitCodes.ts';
import { wholeNumber } from '../usage.ts';

/** `logs [service] [-f]`: the end of one log or of all. */
export function registerLogs(program: Command, context: CliContext): void {
  program
    .command('logs [service]')
    .description(context.text(['montre les journaux des services', 'shows the logs of the services']))
    .option('-f, --follow', context.text(['continue à montrer ce qui arrive', 'goes on showing what comes']))
    .option(
      '-n, --lines <n>',
      context.text(['nombre de lignes', 'number of lines']),
      wholeNumber(context, { min: 1, max: 1_000_000 }),
      '40',
    )
    .action(async (service: string | undefined, flags: { follow?: boolean; lines: string }) => {
      const known = listLogs(context.directories.stateDir);
      const names = service === undefined ? known : known.filter((name) => name === service);
      if (names.length === 0) return sayUnknown(context, service, known);
      const files = names.map((name) => logFileOf(context.directories.stateDir, name));
      const follow = flags.follow === true ? ['-F'] : [];
      const child = spawn('tail', ['-n', flags.lines, ...follow, ...files], { stdio: 'inherit' });
      await new Promise((resolve) => child.once('exit', resolve));
    });
}

function listLogs(stateDir: string): string[] {
  const folder = path.join(stateDir, 'logs');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.log'))
    .map((name) => path.basename(name, '.log'));
}

function sayUnknown(context: CliContext, service: string | undefined, known: string[]): void {
  if (known.length === 0) {
    const nothing = [
      'rien n’a encore tourné ici : ./atlas up',
      'nothing has run here yet: ./atlas up',
    ] as const;
    return context.fail(new StackError(nothing), exitCodes.notRunning);
  }
  const names = known.join(', ');
  const text = [
    `pas de journal ${service ?? ''} ; il y a ${names}`,
    `no log ${service ?? ''}; there are ${names}`,
  ] as const;
  context.fail(new StackError(text), exitCodes.usage);
}
