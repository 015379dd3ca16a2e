import { Option } from 'commander';
import type { Command } from 'commander';
import { exceptionStates } from '#contract/exceptions.ts';
import type { ExceptionBody, ExceptionState, PatchException } from '#contract/exceptions.ts';
import type { Text } from '../../stack/text.ts';
import type { CliContext } from '../context.ts';
import { readDocument } from '../documentFile.ts';
import { guarded } from '../failures.ts';
import { collectPages } from '../pages.ts';
import { openTenant, withTenant } from '../serverAccess.ts';
import type { ServerFlags } from '../serverAccess.ts';
import { renderTable } from '../table.ts';

interface ListFlags extends ServerFlags {
  readonly state?: ExceptionState;
}
interface FileFlags extends ServerFlags {
  readonly file: string;
}
interface DecisionFlags extends ServerFlags {
  readonly reason: string;
}

/** Decisions that a terminal can make; an approval asks for a fresh second factor, which a terminal cannot show. */
const decisions: readonly { name: string; route: 'refuseException' | 'revokeException'; text: Text }[] = [
  { name: 'refuse', route: 'refuseException', text: ['refuse une demande', 'refuses a request'] },
  {
    name: 'revoke',
    route: 'revokeException',
    text: ['met fin à une dérogation, ou reprend sa demande', 'ends an exception, or takes its request back'],
  },
];

/** `exceptions list|show|create|refuse|revoke`. */
export function registerExceptions(program: Command, context: CliContext): void {
  const exceptions = program
    .command('exceptions')
    .description(
      context.text([
        'dérogations : ce qui n’est pas installé, par décision ; l’approbation se donne dans le navigateur',
        'exceptions: what is not installed, by decision; approval is given in the browser',
      ]),
    );
  withTenant(exceptions.command('list'), context)
    .description(context.text(['liste les dérogations par échéance', 'lists the exceptions by their end']))
    .addOption(
      new Option('--state <state>', context.text(['dans cet état', 'in this state'])).choices(
        exceptionStates,
      ),
    )
    .action(
      guarded(context, async (flags: ListFlags) => {
        const { api, tenantId } = await openTenant(context, flags);
        const filter = flags.state === undefined ? {} : { state: flags.state };
        const items = await collectPages((page) =>
          api.call('listExceptions', { params: { tenantId }, query: { ...page, ...filter } }),
        );
        sayExceptions(context, items);
        context.answer({ items });
      }),
    );
  withTenant(exceptions.command('show <exceptionId>'), context)
    .description(
      context.text(['montre une dérogation et son histoire', 'shows an exception and its history']),
    )
    .action(
      guarded(context, async (exceptionId: string, flags: ServerFlags) => {
        const { api, tenantId } = await openTenant(context, flags);
        const exception = await api.call('getException', { params: { tenantId, exceptionId } });
        sayExceptions(context, [exception]);
        context.say(`  ${exception.reason}`);
        context.say(`  ${exception.compensation}`);
        for (const { at, decision, byName, reason } of exception.decisions)
          context.say(`${at}  ${decision}  ${byName ?? '—'}  ${reason}`);
        context.answer(exception);
      }),
    );
  withTenant(exceptions.command('create'), context)
    .description(context.text(['demande une dérogation', 'asks for an exception']))
    .requiredOption(
      '--file <file>',
      context.text([
        'document JSON : update, place, reason, compensation, ownerId, expiresAt',
        'JSON document: update, place, reason, compensation, ownerId, expiresAt',
      ]),
    )
    .action(
      guarded(context, async (flags: FileFlags) => {
        const body = readDocument<ExceptionBody>(flags.file);
        const { api, tenantId } = await openTenant(context, flags);
        answerException(context, await api.call('createException', { params: { tenantId }, body }));
      }),
    );
  for (const decision of decisions) registerDecision(exceptions, context, decision);
}

function registerDecision(
  exceptions: Command,
  context: CliContext,
  { name, route, text }: (typeof decisions)[number],
): void {
  withTenant(exceptions.command(`${name} <exceptionId>`), context)
    .description(context.text(text))
    .requiredOption(
      '--reason <text>',
      context.text(['raison, écrite au journal d’audit', 'reason, written into the audit log']),
    )
    .action(
      guarded(context, async (exceptionId: string, { reason, ...flags }: DecisionFlags) => {
        const { api, tenantId } = await openTenant(context, flags);
        const params = { tenantId, exceptionId };
        answerException(context, await api.call(route, { params, body: { reason } }));
      }),
    );
}

function answerException(context: CliContext, exception: PatchException): void {
  sayExceptions(context, [exception]);
  context.answer(exception);
}

function sayExceptions(context: CliContext, exceptions: readonly PatchException[]): void {
  const head = context
    .text(['état échéance quoi où responsable manque id', 'state end what where owner missing id'])
    .split(' ');
  const rows = exceptions.map(({ id, state, expiresAt, update, place, ownerName, missingOn }) => [
    ...[state, expiresAt, update === null ? '*' : `${update.name} ${update.version}`],
    ...[place.name ?? '*', ownerName ?? '—', String(missingOn ?? '—'), id],
  ]);
  for (const line of renderTable([head, ...rows])) context.say(line);
}
