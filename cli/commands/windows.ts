import type { Command } from 'commander';
import type { MaintenanceWindow, Occurrence, ScheduleProblem, WindowBody } from '#contract/windows.ts';
import type { Api } from '../api.ts';
import type { CliContext } from '../context.ts';
import { pickNamed, readDocument } from '../documentFile.ts';
import { exitCodes } from '../exitCodes.ts';
import { CommandError, guarded } from '../failures.ts';
import { collectPages } from '../pages.ts';
import { openTenant, withTenant } from '../serverAccess.ts';
import type { ServerFlags } from '../serverAccess.ts';
import { renderTable } from '../table.ts';

interface FileFlags extends ServerFlags {
  readonly file: string;
  readonly dryRun?: boolean;
}

/** `windows list|show|create|update|remove`: when work may happen. */
export function registerWindows(program: Command, context: CliContext): void {
  const windows = program
    .command('windows')
    .description(context.text(['fenêtres de maintenance', 'maintenance windows']));
  withTenant(windows.command('list'), context)
    .description(context.text(['liste les fenêtres', 'lists the windows']))
    .action(
      guarded(context, async (flags: ServerFlags) => {
        const { api, tenantId } = await openTenant(context, flags);
        const items = await listAll(api, tenantId);
        sayWindows(context, items);
        context.answer({ items });
      }),
    );
  withTenant(windows.command('show <window>'), context)
    .description(
      context.text([
        'montre une fenêtre (nom ou identifiant) et ses prochaines occurrences',
        'shows a window (name or id) and its next occurrences',
      ]),
    )
    .action(guarded(context, (wanted: string, flags: ServerFlags) => showWindow(context, wanted, flags)));
  withFile(windows.command('create'), context)
    .description(context.text(['crée une fenêtre', 'creates a window']))
    .action(guarded(context, (flags: FileFlags) => save(context, null, flags)));
  withFile(windows.command('update <window>'), context)
    .description(context.text(['remplace une fenêtre', 'replaces a window']))
    .action(guarded(context, (wanted: string, flags: FileFlags) => save(context, wanted, flags)));
  withTenant(windows.command('remove <window>'), context)
    .description(context.text(['retire une fenêtre', 'removes a window']))
    .action(
      guarded(context, async (wanted: string, flags: ServerFlags) => {
        const { api, tenantId } = await openTenant(context, flags);
        const { id: windowId, name, version } = pickNamed(await listAll(api, tenantId), wanted);
        await api.call('removeWindow', { params: { tenantId, windowId }, ifMatch: version });
        context.say([`Fenêtre ${name} retirée.`, `Window ${name} removed.`]);
        context.answer({ removed: windowId });
      }),
    );
}

function withFile(command: Command, context: CliContext): Command {
  return withTenant(command, context)
    .requiredOption(
      '--file <file>',
      context.text([
        'document JSON : name, siteId, timeZone, startsOn, startTime, rule, durationMinutes, startCutOffMinutes, rebootReserveMinutes, hardStopMinutes',
        'JSON document: name, siteId, timeZone, startsOn, startTime, rule, durationMinutes, startCutOffMinutes, rebootReserveMinutes, hardStopMinutes',
      ]),
    )
    .option(
      '--dry-run',
      context.text(['montre les occurrences, n’enregistre rien', 'shows the occurrences, saves nothing']),
    );
}

function listAll(api: Api, tenantId: string): Promise<MaintenanceWindow[]> {
  return collectPages((query) => api.call('listWindows', { params: { tenantId }, query }));
}

async function showWindow(context: CliContext, wanted: string, flags: ServerFlags): Promise<void> {
  const { api, tenantId } = await openTenant(context, flags);
  const window = pickNamed(await listAll(api, tenantId), wanted);
  const { items } = await api.call('listWindowOccurrences', { params: { tenantId, windowId: window.id } });
  sayWindows(context, [window]);
  sayOccurrences(context, items);
  context.answer({ window, occurrences: items });
}

async function save(context: CliContext, wanted: string | null, flags: FileFlags): Promise<void> {
  const body = readDocument<WindowBody>(flags.file);
  const { api, tenantId } = await openTenant(context, flags);
  if (flags.dryRun === true) {
    const preview = await api.call('previewWindow', { params: { tenantId }, body });
    sayOccurrences(context, preview.occurrences);
    context.answer(preview);
    if (preview.problems.length > 0)
      throw new CommandError(
        ['cette fenêtre ne peut pas être enregistrée ainsi', 'this window cannot be saved as it stands'],
        exitCodes.failed,
        { detail: preview.problems.map(wordsOf).join('\n') },
      );
    return;
  }
  const saved =
    wanted === null
      ? await api.call('createWindow', { params: { tenantId }, body })
      : await replace(api, { tenantId, wanted, body });
  sayWindows(context, [saved]);
  context.answer(saved);
}

/** Which field, what is wrong with it, and the values that say so. */
function wordsOf({ path, code, values }: ScheduleProblem): string {
  const said = Object.entries(values).map(([name, value]) => `${name} ${value}`);
  return `  ${path}: ${[code.replaceAll('_', ' '), ...said].join(', ')}`;
}

async function replace(
  api: Api,
  { tenantId, wanted, body }: { tenantId: string; wanted: string; body: WindowBody },
): Promise<MaintenanceWindow> {
  const { id: windowId, version } = pickNamed(await listAll(api, tenantId), wanted);
  return api.call('updateWindow', { params: { tenantId, windowId }, body, ifMatch: version });
}

function sayWindows(context: CliContext, windows: readonly MaintenanceWindow[]): void {
  const head = context
    .text(['fenêtre fuseau heure minutes règle id', 'window zone time minutes rule id'])
    .split(' ');
  const rows = windows.map(({ id, name, timeZone, startTime, durationMinutes, rule }) => [
    ...[name, timeZone, startTime, String(durationMinutes), rule, id],
  ]);
  for (const line of renderTable([head, ...rows])) context.say(line);
}

function sayOccurrences(context: CliContext, occurrences: readonly Occurrence[]): void {
  for (const { start, end } of occurrences) context.say(`  ${start.local} → ${end.local}`);
}
