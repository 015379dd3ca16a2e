import { Option } from 'commander';
import type { Command } from 'commander';
import type { HostSummary } from '#contract/fleet.ts';
import { hostStatuses } from '#contract/fleet.ts';
import type { CliContext } from '../context.ts';
import { guarded } from '../failures.ts';
import { collectPages } from '../pages.ts';
import { connect, findTenant, withTenant } from '../serverAccess.ts';
import type { ServerFlags } from '../serverAccess.ts';
import { renderTable } from '../table.ts';

interface ListFlags extends ServerFlags {
  readonly status?: HostSummary['status'];
  readonly search?: string;
}

/** `hosts list`: the fleet as the web shows it. */
export function registerHosts(program: Command, context: CliContext): void {
  const hosts = program.command('hosts').description(context.text(['hôtes du parc', 'hosts of the fleet']));
  withTenant(hosts.command('list'), context)
    .description(context.text(['liste les hôtes et leur état', 'lists the hosts and their state']))
    .addOption(
      new Option('--status <status>', context.text(['dans cet état', 'in this state'])).choices(hostStatuses),
    )
    .option('--search <text>', context.text(['nom qui contient ce texte', 'name that holds this text']))
    .action(guarded(context, (flags: ListFlags) => listHosts(context, flags)));
}

async function listHosts(context: CliContext, flags: ListFlags): Promise<void> {
  const api = connect(context, flags);
  const params = { tenantId: await findTenant(api, flags) };
  const filters = {
    ...(flags.status === undefined ? {} : { status: flags.status }),
    ...(flags.search === undefined ? {} : { q: flags.search }),
  };
  const items = await collectPages((page) =>
    api.call('listHosts', { params, query: { ...page, ...filters } }),
  );
  const head = context.text(['hôte état agent attente vu', 'host status agent pending seen']).split(' ');
  const rows = items.map((host) => [
    host.hostname,
    host.status,
    host.reach === 'ssh' ? `${host.agentState} (ssh)` : host.agentState,
    String(host.pendingUpdates ?? '—'),
    host.lastSeenAt ?? '—',
    host.id,
  ]);
  for (const line of renderTable([[...head, 'id'], ...rows])) context.say(line);
  context.answer({ items });
}
