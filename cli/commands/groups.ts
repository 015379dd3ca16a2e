import type { Command } from 'commander';
import type { Group, GroupBody } from '#contract/groups.ts';
import type { Api } from '../api.ts';
import type { CliContext } from '../context.ts';
import { pickNamed, readDocument } from '../documentFile.ts';
import { guarded } from '../failures.ts';
import { collectPages } from '../pages.ts';
import { openTenant, withTenant } from '../serverAccess.ts';
import type { ServerFlags } from '../serverAccess.ts';
import { renderTable } from '../table.ts';

interface FileFlags extends ServerFlags {
  readonly file: string;
}

/** `groups list|show|create|update|remove`: redundancy sets and how many of each may be down. */
export function registerGroups(program: Command, context: CliContext): void {
  const groups = program.command('groups').description(context.text(['groupes d’hôtes', 'groups of hosts']));
  const fileText = context.text([
    'document JSON : name, description, hostIds, budget, ordered',
    'JSON document: name, description, hostIds, budget, ordered',
  ]);
  withTenant(groups.command('list'), context)
    .description(context.text(['liste les groupes', 'lists the groups']))
    .action(
      guarded(context, async (flags: ServerFlags) => {
        const { api, tenantId } = await openTenant(context, flags);
        const items = await listAll(api, tenantId);
        sayGroups(context, items);
        context.answer({ items });
      }),
    );
  withTenant(groups.command('show <group>'), context)
    .description(
      context.text([
        'montre un groupe (nom ou identifiant) et ses hôtes',
        'shows a group (name or id), with its hosts',
      ]),
    )
    .action(
      guarded(context, async (wanted: string, flags: ServerFlags) => {
        const { api, tenantId } = await openTenant(context, flags);
        const group = pickNamed(await listAll(api, tenantId), wanted);
        sayGroups(context, [group]);
        for (const { hostname, agentState } of group.members) context.say(`  ${hostname}  ${agentState}`);
        context.answer(group);
      }),
    );
  withTenant(groups.command('create'), context)
    .description(context.text(['crée un groupe', 'creates a group']))
    .requiredOption('--file <file>', fileText)
    .action(
      guarded(context, async (flags: FileFlags) => {
        const body = readDocument<GroupBody>(flags.file);
        const { api, tenantId } = await openTenant(context, flags);
        answerGroup(context, await api.call('createGroup', { params: { tenantId }, body }));
      }),
    );
  withTenant(groups.command('update <group>'), context)
    .description(context.text(['remplace un groupe', 'replaces a group']))
    .requiredOption('--file <file>', fileText)
    .action(
      guarded(context, async (wanted: string, flags: FileFlags) => {
        const body = readDocument<GroupBody>(flags.file);
        const { api, tenantId } = await openTenant(context, flags);
        const { id: groupId, version } = pickNamed(await listAll(api, tenantId), wanted);
        const params = { tenantId, groupId };
        answerGroup(context, await api.call('updateGroup', { params, body, ifMatch: version }));
      }),
    );
  withTenant(groups.command('remove <group>'), context)
    .description(context.text(['retire un groupe ; ses hôtes restent', 'removes a group; its hosts stay']))
    .action(
      guarded(context, async (wanted: string, flags: ServerFlags) => {
        const { api, tenantId } = await openTenant(context, flags);
        const { id: groupId, name, version } = pickNamed(await listAll(api, tenantId), wanted);
        await api.call('removeGroup', { params: { tenantId, groupId }, ifMatch: version });
        context.say([`Groupe ${name} retiré.`, `Group ${name} removed.`]);
        context.answer({ removed: groupId });
      }),
    );
}

function listAll(api: Api, tenantId: string): Promise<Group[]> {
  return collectPages((query) => api.call('listGroups', { params: { tenantId }, query }));
}

function answerGroup(context: CliContext, group: Group): void {
  sayGroups(context, [group]);
  context.answer(group);
}

function sayGroups(context: CliContext, groups: readonly Group[]): void {
  const head = context
    .text(['groupe hôtes arrêt-max ordonné id', 'group hosts max-down ordered id'])
    .split(' ');
  const yesOrNo = (value: boolean): string =>
    value ? context.text(['oui', 'yes']) : context.text(['non', 'no']);
  const rows = groups.map(({ id, name, members, maxDown, ordered }) => [
    ...[name, String(members.length), String(maxDown), yesOrNo(ordered), id],
  ]);
  for (const line of renderTable([head, ...rows])) context.say(line);
}
