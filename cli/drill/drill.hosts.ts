import path from 'node:path';
import type { HostSummary } from '#contract/fleet.ts';
import { buildAgentDeb } from '../../agent/packaging/build-deb.ts';
import { describeLabStep } from '../../lab/lab-story.ts';
import { createLab } from '../../lab/lab.ts';
import type { LabHost } from '../../lab/host.ts';
import type { Api } from '../api.ts';
import { ApiProblem } from '../api.ts';
import type { CliContext } from '../context.ts';
import { enrolHosts, waitForInventories } from '../demo/fleet.ts';
import type { DemoTenant } from '../demo/firstRun.ts';

/** Three groups of four, each layer needs the one before it. */
export const drillGroups = [
  { name: 'Exercice : données', prefix: 'data', budget: { kind: 'max_unavailable', hosts: 2 } },
  { name: 'Exercice : applications', prefix: 'apps', budget: { kind: 'min_up', hosts: 2 } },
  { name: 'Exercice : portails', prefix: 'edge', budget: { kind: 'max_unavailable', hosts: 1 } },
] as const;
const perGroup = [1, 2, 3, 4];
export const hostsPerGroup = perGroup.length;

export const drillHosts = drillGroups.flatMap(({ prefix }) =>
  perGroup.map((number) => `${prefix}-${number}`),
);

/** Who meets which mishap. */
export const victims = {
  /** Its new package takes the web server down. */
  broken: 'data-4',
  /** Something on it puts the old version back at each boot. */
  updateLoop: 'apps-2',
  /** Restarts again and again once it has been updated. */
  rebootLoop: 'apps-3',
  /** Loses its power in the middle of the update, until the window is over: whoever comes after it has to wait so long. */
  dying: 'edge-3',
} as const;

/** A host of the drill, on the machine and in ATLAS. */
export interface DrillHost {
  readonly lab: LabHost;
  readonly id: string;
}

/** Makes and boots the twelve machines, with agents that are enrolled and have told their inventory. */
export async function bringDrillHosts(
  context: CliContext,
  tenant: DemoTenant,
): Promise<Map<string, DrillHost>> {
  const { stateDir, cacheDir } = context.directories;
  const log = (step: Parameters<typeof describeLabStep>[0]): void =>
    context.say(`  ${context.text(describeLabStep(step))}`);
  const lab = await createLab({ stateDir, cacheDir, log });
  const hosts = await lab.create(
    drillHosts.map((name) => ({ name, brokenPackagePending: name === victims.broken })),
  );
  const debPath = await buildAgentDeb({
    ...{ outDir: path.join(cacheDir, 'agent'), nodeBinary: process.execPath, version: '0.1.0' },
  });
  const { api } = tenant.person('admin');
  const { tenantId, siteId } = tenant;
  await enrolHosts(hosts, debPath, async (host) => {
    const body = { siteId, note: host.name, expiresInMinutes: 60 };
    return (await api.call('createEnrolmentToken', { params: { tenantId }, body })).line;
  });
  const known = await waitForInventories(api, tenantId, drillHosts);
  return new Map(hosts.map((lab) => [lab.name, { lab, id: idOf(known, lab.name) }]));
}

function idOf(known: readonly HostSummary[], name: string): string {
  const found = known.find(({ hostname }) => hostname === name);
  if (found === undefined) throw new Error(`ATLAS does not know ${name}`);
  return found.id;
}

/** Groups and dependencies of the drill; those that exist stay as they are. */
export async function relateDrillHosts(
  api: Api,
  tenantId: string,
  hosts: ReadonlyMap<string, DrillHost>,
): Promise<void> {
  const id = (name: string): string => hosts.get(name)?.id ?? '';
  const params = { tenantId };
  for (const { name, prefix, budget } of drillGroups) {
    const hostIds = perGroup.map((number) => id(`${prefix}-${number}`));
    const body = { name, description: '', hostIds, budget: { ...budget }, ordered: true };
    await unlessThere(api.call('createGroup', { params, body }));
  }
  for (const [index, { prefix }] of drillGroups.entries()) {
    const provider = drillGroups[index - 1];
    if (provider === undefined) continue;
    for (const number of perGroup) {
      const dependentHostId = id(`${prefix}-${number}`);
      const providerHostId = id(`${provider.prefix}-${number}`);
      const body = { dependentHostId, providerHostId, kind: 'service_after_provider' as const };
      await unlessThere(api.call('createHostDependency', { params, body }));
    }
  }
}

async function unlessThere(made: Promise<unknown>): Promise<void> {
  try {
    await made;
  } catch (error) {
    if (!(error instanceof ApiProblem) || error.problem.code !== 'already_exists') throw error;
  }
}
