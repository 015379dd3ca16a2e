import { Option } from 'commander';
import type { Command } from 'commander';
import type { RunDetail, RunSummary } from '#contract/runs.ts';
import { runStates } from '#contract/runs.ts';
import type { Text } from '../../stack/text.ts';
import type { Api } from '../api.ts';
import type { CliContext } from '../context.ts';
import { exitCodes } from '../exitCodes.ts';
import { CommandError, guarded } from '../failures.ts';
import { collectPages } from '../pages.ts';
import { connect, findTenant, withTenant } from '../serverAccess.ts';
import type { ServerFlags } from '../serverAccess.ts';
import { renderTable } from '../table.ts';
import { wholeNumber } from '../usage.ts';

interface ListFlags extends ServerFlags {
  readonly state?: RunSummary['state'];
  readonly limit: string;
}
interface ControlFlags extends ServerFlags {
  readonly reason: string;
}

/** What a person may tell a run that is under way. */
const controls: readonly { name: string; route: 'cancelRun' | 'pauseRun' | 'resumeRun'; text: Text }[] = [
  {
    name: 'cancel',
    route: 'cancelRun',
    text: ['arrête chaque hôte avant son prochain point sûr', 'stops each host before its next safe point'],
  },
  {
    name: 'pause',
    route: 'pauseRun',
    text: ['ne commence plus rien ; ce qui tourne continue', 'starts nothing new; what runs goes on'],
  },
  { name: 'resume', route: 'resumeRun', text: ['reprend', 'goes on'] },
];

/** `runs list|show|cancel|pause|resume`. */
export function registerRuns(program: Command, context: CliContext): void {
  const runs = program.command('runs').description(context.text(['exécutions', 'runs']));
  withTenant(runs.command('list'), context)
    .description(context.text(['liste les exécutions, la dernière d’abord', 'lists the runs, newest first']))
    .addOption(
      new Option('--state <state>', context.text(['dans cet état', 'in this state'])).choices(runStates),
    )
    .option(
      '--limit <n>',
      context.text(['combien, 200 au plus', 'how many, 200 at most']),
      wholeNumber(context, { min: 1, max: 200 }),
      '50',
    )
    .action(guarded(context, (flags: ListFlags) => listRuns(context, flags)));
  withTenant(runs.command('show <run>'), context)
    .description(
      context.text([
        'montre une exécution (numéro ou identifiant) et ses hôtes',
        'shows a run (number or id) and its hosts',
      ]),
    )
    .action(guarded(context, (run: string, flags: ServerFlags) => showRun(context, run, flags)));
  for (const { name, route, text } of controls) {
    withTenant(runs.command(`${name} <run>`), context)
      .description(context.text(text))
      .requiredOption(
        '--reason <text>',
        context.text(['raison, écrite au journal d’audit', 'reason, written into the audit log']),
      )
      .action(
        guarded(context, async (run: string, flags: ControlFlags) => {
          const api = connect(context, flags);
          const tenantId = await findTenant(api, flags);
          const params = { tenantId, runId: await findRun(api, tenantId, run) };
          const changed = await api.call(route, { params, body: { reason: flags.reason } });
          sayRuns(context, [changed]);
          context.answer(changed);
        }),
      );
  }
}

async function listRuns(context: CliContext, flags: ListFlags): Promise<void> {
  const api = connect(context, flags);
  const query = { limit: Number(flags.limit), ...(flags.state === undefined ? {} : { state: flags.state }) };
  const page = await api.call('listRuns', { params: { tenantId: await findTenant(api, flags) }, query });
  sayRuns(context, page.items);
  context.answer(page);
}

/** The identifier of a run that a person names by its number or by its identifier. */
async function findRun(api: Api, tenantId: string, wanted: string): Promise<string> {
  if (!/^#?\d+$/.test(wanted)) return wanted;
  const number = Number(wanted.replace('#', ''));
  const all = await collectPages((query) => api.call('listRuns', { params: { tenantId }, query }));
  const run = all.find((one) => one.number === number);
  if (run !== undefined) return run.id;
  throw new CommandError([`pas d’exécution ${number}`, `no run ${number}`], exitCodes.failed);
}

async function showRun(context: CliContext, wanted: string, flags: ServerFlags): Promise<void> {
  const api = connect(context, flags);
  const tenantId = await findTenant(api, flags);
  const params = { tenantId, runId: await findRun(api, tenantId, wanted) };
  const detail = await api.call('getRun', { params });
  sayRuns(context, [detail.run]);
  sayHosts(context, detail);
  context.answer(detail);
}

function sayRuns(context: CliContext, runs: readonly RunSummary[]): void {
  const head = context
    .text([
      'n° état début hôtes validés annulés échoués titre',
      'no. state began hosts committed rolled-back failed title',
    ])
    .split(' ');
  const rows = runs.map((run) => [
    String(run.number),
    run.state,
    run.startedAt ?? '—',
    ...[run.hosts, run.committed, run.rolledBack, run.failed].map(String),
    run.title,
  ]);
  for (const line of renderTable([head, ...rows])) context.say(line);
}

function sayHosts(context: CliContext, { hostRuns, decisions }: RunDetail): void {
  const head = context.text(['hôte vague état', 'host wave state']).split(' ');
  const rows = hostRuns.map((one) => [one.hostname, String(one.wave), one.state]);
  context.say('');
  for (const line of renderTable([head, ...rows])) context.say(line);
  if (decisions.length > 0) context.say('');
  for (const { at, code } of decisions) context.say(`${at}  ${code}`);
}
