import type { HostRunSummary, RunDetail } from '#contract/runs.ts';
import { terminalHostRunStates } from '#contract/run-transitions.ts';
import { drillGroups, hostsPerGroup, victims } from './drill.hosts.ts';
import type { DrillHost } from './drill.hosts.ts';

/** What the drill itself finds on one machine, beside what ATLAS says of it. */
export interface Finding {
  readonly hostname: string;
  readonly state: string;
  readonly reason: string | null;
  readonly version: string;
  readonly serves: boolean;
  /** True when both tell the same story. */
  readonly agrees: boolean;
}

const idle = new Set<string>([
  'planned',
  'committed',
  'rolled_back',
  'failed',
  'missed',
  'cancelled',
  'superseded',
]);

/** Groups of which more members were being worked on at this moment than their budget allows. */
export function overBudget(hostRuns: readonly HostRunSummary[]): string[] {
  return drillGroups.flatMap(({ prefix, budget: { kind, hosts } }) => {
    const busy = hostRuns.filter(({ hostname, state }) => hostname.startsWith(prefix) && !idle.has(state));
    return busy.length > (kind === 'min_up' ? hostsPerGroup - hosts : hosts)
      ? [`${prefix}: ${busy.map(({ hostname }) => hostname).join(', ')}`]
      : [];
  });
}

/** Asks every machine which version it has and whether it serves, and compares with what ATLAS says. */
export async function compareHosts(
  detail: RunDetail,
  hosts: ReadonlyMap<string, DrillHost>,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { hostname, state, lastDecision } of detail.hostRuns) {
    const lab = hosts.get(hostname)?.lab;
    const name = hostname === victims.broken ? 'lab-portal' : 'lab-site';
    const asked = await lab?.exec(`dpkg-query -W -f '\${Version}' ${name}`);
    const served = await lab?.exec(['systemctl', 'is-active', 'nginx.service']);
    const version = asked?.stdout.trim() ?? '';
    const serves = served?.exitCode === 0;
    const isUpdated = state === 'committed';
    const isOver = terminalHostRunStates.some((one) => one === state);
    const isExplained = isUpdated || lastDecision !== null;
    const agrees = isOver && isExplained && serves && version === (isUpdated ? '1.1' : '1.0');
    findings.push({ hostname, state, reason: lastDecision?.code ?? null, version, serves, agrees });
  }
  return findings;
}
