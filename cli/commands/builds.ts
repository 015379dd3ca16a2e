import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { BuildRollout } from '#contract/builds.ts';
import {
  draftBuild,
  programSha256,
  readBuildFile,
  renderBuild,
  signBuild,
  type OpenedBuild,
} from '../buildDocument.ts';
import type { CliContext } from '../context.ts';
import { guarded } from '../failures.ts';
import { collectPages } from '../pages.ts';
import { openTenant, withTenant } from '../serverAccess.ts';
import type { ServerFlags } from '../serverAccess.ts';
import { renderTable } from '../table.ts';

interface DraftFlags {
  readonly tenantId: string;
  readonly version: string;
  readonly days: string;
  readonly program?: string;
  readonly out: string;
}
interface StartFlags extends ServerFlags {
  readonly host?: string[];
  readonly first: string;
  readonly soak: string;
  readonly reason: string;
}
interface StopFlags extends ServerFlags {
  readonly reason: string;
}
interface StatusFlags extends ServerFlags {
  readonly rollout?: string;
  readonly host?: string;
}

/** Shows what a build says: what a holder of a root key reads before signing. */
function describe(context: CliContext, opened: OpenedBuild): void {
  const { document, envelope, sha256, words } = opened;
  context.say([`Version d’agent ${document.version}`, `Agent build ${document.version}`]);
  context.say([`  client             ${document.tenant}`, `  tenant             ${document.tenant}`]);
  context.say([`  valable jusqu’au   ${document.expiresAt}`, `  good until         ${document.expiresAt}`]);
  const program = `${programSha256(opened)} (SHA-256)`;
  context.say([`  programme          ${program}`, `  program            ${program}`]);
  context.say([`  document           ${sha256} (SHA-256)`, `  document           ${sha256} (SHA-256)`]);
  context.say([`  mots               ${words.join(' ')}`, `  words              ${words.join(' ')}`]);
  const count = envelope.signatures.length;
  context.say([`  signatures jointes ${count}`, `  signatures so far  ${count}`]);
}

async function write(context: CliContext, file: string, opened: OpenedBuild): Promise<void> {
  await writeFile(file, renderBuild(opened));
  describe(context, opened);
  const { document, envelope, sha256 } = opened;
  context.answer({ out: file, document, sha256, signatures: envelope.signatures.length });
}

/** `builds draft|show|sign`: the work of those who hold the root keys, without network. */
function registerOffline(builds: Command, context: CliContext): void {
  builds
    .command('draft')
    .description(
      context.text([
        'compose une version d’agent à signer, sans réseau',
        'composes an agent build to be signed, offline',
      ]),
    )
    .requiredOption('--tenant-id <id>', context.text(['identifiant du client', 'id of the tenant']))
    .requiredOption('--version <version>', context.text(['trois nombres, 1.2.3', 'three numbers, 1.2.3']))
    .requiredOption('--out <file>', context.text(['fichier à écrire', 'file to write']))
    .option('--days <n>', context.text(['jours de validité', 'days for which it is good']), '90')
    .option(
      '--program <file>',
      context.text([
        'agent.mjs déjà assemblé ; sinon celui de ce dépôt',
        'agent.mjs that was bundled before; else the one of this repository',
      ]),
    )
    .action(
      guarded(context, async ({ program, days, ...flags }: DraftFlags) => {
        const wish = { ...flags, days: Number(days), programFile: program };
        await write(context, flags.out, await draftBuild(wish, Date.now()));
      }),
    );
  builds
    .command('show <file>')
    .description(
      context.text(['dit ce qu’une version contient, sans réseau', 'says what a build holds, offline']),
    )
    .action(
      guarded(context, async (file: string) => {
        const opened = await readBuildFile(file);
        describe(context, opened);
        const { document, sha256, words, envelope } = opened;
        context.answer({ document, sha256, words, signatures: envelope.signatures.length });
      }),
    );
  builds
    .command('sign <file>')
    .description(context.text(['ajoute des signatures, sans réseau', 'adds signatures, offline']))
    .requiredOption(
      '--key <file...>',
      context.text(['clé racine, une ou plusieurs', 'root key, one or more']),
    )
    .requiredOption('--out <file>', context.text(['fichier à écrire', 'file to write']))
    .action(
      guarded(context, async (file: string, flags: { key: string[]; out: string }) =>
        write(context, flags.out, await signBuild(await readBuildFile(file), flags.key)),
      ),
    );
}

function sayRollout(context: CliContext, rollout: BuildRollout): void {
  const { counts, id, state, version, why } = rollout;
  const numbers = Object.entries(counts).map(([name, count]) => `${name} ${count}`);
  context.say(`${id}  ${version}  ${state}  ${numbers.join(' · ')}${why === null ? '' : `  ${why}`}`);
}

function registerRollouts(builds: Command, context: CliContext): void {
  withTenant(builds.command('start <buildId>'), context)
    .description(
      context.text([
        'déploie une version : quelques hôtes, puis les autres quand les premiers vont bien',
        'rolls a build out: a few hosts, then the others once those are well',
      ]),
    )
    .option(
      '--host <hostId...>',
      context.text(['ces hôtes, dans cet ordre ; sinon tous', 'these hosts, in this order; else all']),
    )
    .option('--first <n>', context.text(['premiers hôtes', 'first hosts']), '1')
    .option(
      '--soak <minutes>',
      context.text(['minutes pendant lesquelles ils vont bien', 'minutes for which they are well']),
      '30',
    )
    .requiredOption(
      '--reason <text>',
      context.text(['raison, au journal d’audit', 'reason, for the audit log']),
    )
    .action(
      guarded(context, async (buildId: string, { host, first, soak, reason, ...flags }: StartFlags) => {
        const { api, tenantId } = await openTenant(context, flags);
        const wish = { buildId, firstHosts: Number(first), soakMinutes: Number(soak), reason };
        const body = host === undefined ? wish : { ...wish, hostIds: host };
        const rollout = await api.call('startBuildRollout', { params: { tenantId }, body });
        sayRollout(context, rollout);
        context.answer(rollout);
      }),
    );
  withTenant(builds.command('stop <rolloutId>'), context)
    .description(context.text(['ne demande plus rien à personne', 'asks nobody any more']))
    .requiredOption(
      '--reason <text>',
      context.text(['raison, au journal d’audit', 'reason, for the audit log']),
    )
    .action(
      guarded(context, async (rolloutId: string, { reason, ...flags }: StopFlags) => {
        const { api, tenantId } = await openTenant(context, flags);
        const params = { tenantId, rolloutId };
        const rollout = await api.call('stopBuildRollout', { params, body: { reason } });
        sayRollout(context, rollout);
        context.answer(rollout);
      }),
    );
}

function registerStatus(builds: Command, context: CliContext): void {
  withTenant(builds.command('status'), context)
    .description(
      context.text(['dit où en sont les déploiements et les hôtes', 'says where rollouts and hosts stand']),
    )
    .option('--rollout <rolloutId>', context.text(['de ce déploiement', 'of this rollout']))
    .option('--host <hostId>', context.text(['de cet hôte', 'of this host']))
    .action(
      guarded(context, async ({ rollout, host, ...flags }: StatusFlags) => {
        const { api, tenantId } = await openTenant(context, flags);
        const params = { tenantId };
        const { items: rollouts } = await api.call('listBuildRollouts', { params, query: { limit: 10 } });
        for (const one of rollouts) sayRollout(context, one);
        const filter = {
          ...(rollout === undefined ? {} : { rolloutId: rollout }),
          ...(host === undefined ? {} : { hostId: host }),
        };
        const asks = await collectPages((page) =>
          api.call('listBuildAsks', { params, query: { ...page, ...filter } }),
        );
        const rows = asks.map((one) => [
          ...[one.hostname, one.version, one.runningVersion ?? '—', String(one.ring), one.state],
          `${one.code ?? ''} ${one.detail}`.trim(),
        ]);
        const head = context
          .text(['hôte demandée en-service cercle état dit', 'host asked running ring state said'])
          .split(' ');
        if (rows.length > 0) for (const line of renderTable([head, ...rows])) context.say(line);
        context.answer({ rollouts, asks });
      }),
    );
}

/** `builds …`: versions of the agent, from the signature of the root keys to the last host. */
export function registerBuilds(program: Command, context: CliContext): void {
  const builds = program
    .command('builds')
    .description(
      context.text([
        'versions de l’agent : signature hors ligne, import, déploiement par cercles',
        'agent builds: offline signing, import, rollout in rings',
      ]),
    );
  registerOffline(builds, context);
  withTenant(builds.command('import <file>'), context)
    .description(context.text(['apporte une version signée', 'brings in a signed build']))
    .action(
      guarded(context, async (file: string, flags: ServerFlags) => {
        const { envelope, artefact } = await readBuildFile(file);
        const { api, tenantId } = await openTenant(context, flags);
        const build = await api.call('importAgentBuild', {
          params: { tenantId },
          body: { envelope, artefact },
        });
        context.say([
          `Version ${build.version} importée : ${build.id}`,
          `Build ${build.version} imported: ${build.id}`,
        ]);
        context.answer(build);
      }),
    );
  withTenant(builds.command('list'), context)
    .description(context.text(['liste les versions importées', 'lists the builds that were brought in']))
    .action(
      guarded(context, async (flags: ServerFlags) => {
        const { api, tenantId } = await openTenant(context, flags);
        const items = await collectPages((page) =>
          api.call('listAgentBuilds', { params: { tenantId }, query: page }),
        );
        for (const { id, version, expiresAt } of items) context.say(`${id}  ${version}  ${expiresAt}`);
        context.answer({ items });
      }),
    );
  registerRollouts(builds, context);
  registerStatus(builds, context);
}
