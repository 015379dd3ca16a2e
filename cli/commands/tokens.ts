import type { Command } from 'commander';
import type { Api } from '../api.ts';
import type { CliContext } from '../context.ts';
import { exitCodes } from '../exitCodes.ts';
import { CommandError, guarded } from '../failures.ts';
import { connect, findTenant, withTenant } from '../serverAccess.ts';
import type { ServerFlags } from '../serverAccess.ts';
import { wholeNumber } from '../usage.ts';

interface CreateFlags extends ServerFlags {
  readonly site?: string;
  readonly note?: string;
  readonly minutes: string;
}

/** `tokens create`: a one-time enrolment token and the line to run on the host. */
export function registerTokens(program: Command, context: CliContext): void {
  const tokens = program
    .command('tokens')
    .description(context.text(['jetons d’enrôlement des agents', 'enrolment tokens of agents']));
  withTenant(tokens.command('create'), context)
    .description(
      context.text([
        'émet un jeton à usage unique et montre la ligne à lancer sur l’hôte',
        'issues a one-time token and shows the line to run on the host',
      ]),
    )
    .option('--site <site>', context.text(['site : nom ou identifiant', 'site: name or id']))
    .option(
      '--minutes <n>',
      context.text(['durée de vie, en minutes', 'life time in minutes']),
      wholeNumber(context, { min: 5, max: 10_080 }),
      '60',
    )
    .option('--note <text>', context.text(['à quoi il sert', 'what it is for']))
    .action(guarded(context, (flags: CreateFlags) => createToken(context, flags)));
}

async function createToken(context: CliContext, flags: CreateFlags): Promise<void> {
  const api = connect(context, flags);
  const tenantId = await findTenant(api, flags);
  const created = await api.call('createEnrolmentToken', {
    params: { tenantId },
    body: {
      siteId: await findSite(api, tenantId, flags.site),
      expiresInMinutes: Number(flags.minutes),
      ...(flags.note === undefined ? {} : { note: flags.note }),
    },
  });
  context.say([
    `Sur l’hôte, en root, avant ${created.enrolmentToken.expiresAt} (le secret n’est montré qu’ici) :`,
    `On the host, as root, before ${created.enrolmentToken.expiresAt} (the secret is shown only here):`,
  ]);
  context.say(`\n  ${created.line}\n`);
  context.answer(created);
}

async function findSite(api: Api, tenantId: string, wanted: string | undefined): Promise<string> {
  const { items } = await api.call('listSites', { params: { tenantId }, query: { limit: 200 } });
  const chosen = wanted === undefined ? items : items.filter(({ id, name }) => [id, name].includes(wanted));
  const [only] = chosen;
  if (only !== undefined && chosen.length === 1) return only.id;
  const known = items.map(({ name }) => name).join(', ') || '—';
  throw new CommandError(
    wanted === undefined
      ? [`quel site ? --site : ${known}`, `which site? --site: ${known}`]
      : [`site inconnu : ${wanted} ; il y a ${known}`, `unknown site: ${wanted}; there are ${known}`],
    exitCodes.usage,
  );
}
