import path from 'node:path';
import type { AgentsModule } from './features/agents/agents.module.ts';
import { createReachModule } from './features/reach/reach.module.ts';
import type { ReachDeps } from './features/reach/reach.module.ts';
import { createAnsibleHosts, type AnsibleHosts, type VisitedHost } from './hosts/ansible/ansibleHosts.ts';
import { playbookRoom, SshRunner, VisitFailed } from './hosts/ansible/runner.ts';
import type { HostsPort } from './hosts/port.ts';
import { joinReaches } from './hosts/byReach.ts';
import type { Platform } from './main.platform.ts';

type Given = Pick<ReachDeps, 'trust' | 'fleet' | 'emit'> & {
  readonly agents: AgentsModule['service'];
  readonly link: HostsPort;
};

/** Hosts without an agent, or with a dead one: their accesses, the runner, and one port over both ways. */
export function createReach(platform: Platform, given: Given) {
  const { clock, config, log } = platform;
  const runner = new SshRunner({
    roomDirectory: playbookRoom,
    installDirectory: config.agentlessDirectory,
    // A job sees neither the server's keys nor its data.
    hide: [config.dataDirectory, path.dirname(config.kekFile)],
    clock,
  });
  const reach = createReachModule({
    ...platform,
    ...given,
    runner: {
      readHostKeys: (address, port) => runner.readHostKeys(address, port),
      contact: (access) => runner.contact(access),
      visit: (access, request) => runner.visit(access, request),
      install: (access) => runner.install(access),
    },
    faultOf: (error) => (error instanceof VisitFailed ? { fault: error.fault, detail: error.message } : null),
    reachChanged: async (agentId) => {
      given.link.disconnect(agentId, 'reach_changed', 60_000);
      await visits.refresh();
    },
  });
  const { service } = reach;
  const listHosts = async (): Promise<VisitedHost[]> => {
    const hosts: VisitedHost[] = [];
    // One conversation a host: of several processes the eldest that is alive visits.
    if (!(await service.isVisitor(platform.nodes.id))) return hosts;
    for (const { accessId, tenantId, agentId, hostId } of await service.listActive()) {
      const identity = await given.agents.identityOf(tenantId, agentId, hostId);
      if (identity !== null) hosts.push({ accessId, identity });
    }
    return hosts;
  };
  const visits: AnsibleHosts = createAnsibleHosts({
    runner,
    log,
    listHosts,
    openAccess: ({ accessId, identity }) => service.openFor({ tenantId: identity.tenantId, accessId }),
    contacted: ({ accessId, identity }, fault) =>
      service.contacted({ tenantId: identity.tenantId, accessId, hostId: identity.hostId }, fault),
  });
  return { reach, visits, hosts: joinReaches(given.link, visits) };
}
