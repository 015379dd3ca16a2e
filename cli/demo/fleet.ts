import { setTimeout as sleep } from 'node:timers/promises';
import { createLab } from '../../lab/lab.ts';
import type { Lab } from '../../lab/lab.ts';
import type { LabHost } from '../../lab/host.ts';
import { describeLabStep } from '../../lab/lab-story.ts';
import type { HostSummary } from '#contract/fleet.ts';
import type { Api } from '../api.ts';
import type { CliContext } from '../context.ts';
import { until } from './demo-client.ts';

/** Six hosts; two of them have something coming. */
export const demoHosts = ['app-1', 'app-2', 'app-3', 'app-4', 'portail', 'relais'] as const;
/** Gets the package whose new version breaks its web server. */
export const brokenHost = 'portail';
/** Loses its network once its updates are in. */
export const cutHost = 'relais';

/** Makes and boots the demo's hosts; those that exist are booted only. */
export async function createDemoLab(context: CliContext): Promise<{ lab: Lab; hosts: LabHost[] }> {
  const { stateDir, cacheDir } = context.directories;
  const lab = await createLab({
    stateDir,
    cacheDir,
    log: (step) => context.say(`  ${context.text(describeLabStep(step))}`),
  });
  const hosts = await lab.create(
    demoHosts.map((name) => ({ name, brokenPackagePending: name === brokenHost })),
  );
  return { lab, hosts };
}

/** Installs the agent on each host that has none, as an administrator would: package, then one line. */
export async function enrolHosts(
  hosts: readonly LabHost[],
  debPath: string,
  newLine: (host: LabHost) => Promise<string>,
): Promise<string[]> {
  const enrolled: string[] = [];
  // Two at a time: key generation and unpacking are work for a processor each.
  const waiting = [...hosts];
  const worker = async (): Promise<void> => {
    for (let host = waiting.shift(); host !== undefined; host = waiting.shift()) {
      const there = await host.exec('test -s /var/lib/atlas-agent/identity/identity.json');
      if (there.exitCode === 0) continue;
      const done = await host.installAgent({ debPath, enrolLine: await newLine(host) });
      if (done.exitCode !== 0) throw new Error(`${host.name}: ${done.stderr.trim()}`);
      enrolled.push(host.name);
    }
  };
  await Promise.all([worker(), worker()]);
  return enrolled;
}

/** Waits until every named host is connected and has told its inventory. */
export async function waitForInventories(
  api: Api,
  tenantId: string,
  names: readonly string[],
): Promise<HostSummary[]> {
  return until('inventories of the lab hosts', 300_000, async () => {
    const page = await api.call('listHosts', { params: { tenantId }, query: { limit: 200 } });
    const ours = page.items.filter((host) => names.includes(host.hostname));
    const ready = ours.filter((host) => host.agentState === 'connected' && host.lastInventoryAt !== null);
    if (ready.length === names.length) return ours;
    await sleep(1000);
    return undefined;
  });
}
