import type { Command } from 'commander';
import { findSupervisor, readStatus } from '../../stack/daemonState.ts';
import type { StackStatus } from '../../stack/daemonState.ts';
import type { Text } from '../../stack/text.ts';
import type { UnitState, UnitStatus } from '../../stack/unit.ts';
import type { CliContext } from '../context.ts';
import { describeDatabaseHealth, readDatabaseHealth } from '../databaseHealth.ts';
import { exitCodes } from '../exitCodes.ts';

const words: Record<UnitState, Text> = {
  waiting: ['en attente', 'waiting'],
  preparing: ['préparation', 'preparing'],
  starting: ['démarrage', 'starting'],
  ready: ['prêt', 'ready'],
  restarting: ['redémarrage', 'restarting'],
  failed: ['en échec', 'failed'],
  stopped: ['arrêté', 'stopped'],
};

/** `status`: what runs, since when, how often it was started again. Status 4 when nothing runs. */
export function registerStatus(program: Command, context: CliContext): void {
  program
    .command('status')
    .description(context.text(['dit ce qui tourne', 'says what is running']))
    .action(async () => {
      const { stateDir } = context.directories;
      const status = readStatus(stateDir);
      if (findSupervisor(stateDir) === undefined || status === undefined) return sayNothing(context);
      sayUnits(context, status);
      const database = status.publicUrl === undefined ? null : await readDatabaseHealth(status.publicUrl);
      if (database !== null) {
        const [fr, en] = describeDatabaseHealth(database);
        context.say([`Base de données : ${fr}`, `Database: ${en}`]);
      }
      context.answer({ running: true, ...status, ...(database === null ? {} : { database }) });
    });
}

function sayNothing(context: CliContext): void {
  context.say(['Rien ne tourne : ./atlas up', 'Nothing is running: ./atlas up']);
  context.answer({ running: false });
  process.exitCode = exitCodes.notRunning;
}

function sayUnits(context: CliContext, status: StackStatus): void {
  if (status.publicUrl !== undefined)
    context.say([`Adresse : ${status.publicUrl}`, `Address: ${status.publicUrl}`]);
  for (const [name, unit] of Object.entries(status.units)) context.say(describe(context, name, unit));
}

function describe(context: CliContext, name: string, unit: UnitStatus): string {
  const restarts = context.text([`relancé ${unit.restarts} fois`, `started again ${unit.restarts} times`]);
  const notes = [
    ...(unit.pid === undefined ? [] : [`pid ${unit.pid}`]),
    ...(unit.restarts === 0 ? [] : [restarts]),
    ...(unit.text === undefined ? [] : [context.text(unit.text)]),
  ];
  return `  ${name.padEnd(10)} ${context.text(words[unit.state]).padEnd(12)} ${notes.join(' · ')}`.trimEnd();
}
