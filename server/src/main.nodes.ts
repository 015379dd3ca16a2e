import type { AgentsModule } from './features/agents/agents.module.ts';
import type { CommandsService, Errand } from './features/commands/commands.module.ts';
import type { AgentLink } from './hosts/agent-link/agentLink.ts';
import { createPresence, type Presence } from './hosts/presence.ts';
import type { Platform } from './main.platform.ts';

/** What one node tells the others about agents: identifiers only; each looks the matter up. */
const topics = {
  connected: 'agents.connected',
  disconnect: 'agents.disconnect',
  authorities: 'agents.authorities',
  errand: 'commands.errand',
} as const;

interface NodesDeps extends Pick<Platform, 'nodes' | 'db' | 'clock' | 'log' | 'config'> {
  readonly agents: Pick<AgentsModule, 'controlLink'>;
  readonly link: AgentLink;
  readonly commands: Pick<CommandsService, 'handOver'>;
}

/** Does the work once after any number of calls; never two at a time. */
function once(work: () => Promise<void>, failed: (error: unknown) => void): () => void {
  let wanted = false;
  let busy = false;
  const run = async (): Promise<void> => {
    busy = true;
    while (wanted) {
      wanted = false;
      await work().catch(failed);
    }
    busy = false;
  };
  return () => {
    wanted = true;
    if (!busy) void run();
  };
}

/** Asks the other nodes to hand something over: the agent is not connected here. */
export function tellErrand({ nodes }: Pick<Platform, 'nodes'>): (errand: Errand) => void {
  return (errand) => nodes.tell(topics.errand, { ...errand });
}

/**
 * Several server processes as one: an order decided on one node reaches an agent that is connected to another, and what
 * ends a connection ends it wherever it is. A lost word costs time, never truth: it is looked up when a session was lost or a node has gone.
 */
export function connectNodes(deps: NodesDeps): Presence {
  const { agents, commands, link, log, nodes } = deps;
  const unlucky = (error: unknown): void =>
    log.warn({ err: error }, 'a word of another node had no effect here');
  agents.controlLink({
    connected: (agentId, bootId) => nodes.tell(topics.connected, { agentId, bootId }),
    disconnect: (agentId, code) => {
      link.disconnect(agentId, code);
      nodes.tell(topics.disconnect, { agentId, code });
    },
    authoritiesChanged: async () => {
      nodes.tell(topics.authorities, {});
      await link.reloadTls();
    },
  });
  nodes.hear(topics.connected, ({ agentId, bootId }) => {
    link.connectedElsewhere(String(agentId), String(bootId)).catch(unlucky);
  });
  nodes.hear(topics.disconnect, ({ agentId, code }) => link.disconnect(String(agentId), String(code)));
  nodes.hear(topics.authorities, () => void link.reloadTls().catch(unlucky));
  nodes.hear(topics.errand, ({ tenantId, agentId, commandId }) => {
    const errand = { tenantId: String(tenantId), agentId: String(agentId) };
    commands
      .handOver({ ...errand, commandId: typeof commandId === 'string' ? commandId : null })
      .catch(unlucky);
  });
  // A word was lost, or died with the node that had it to say: what it spoke of is looked up.
  const lookAgain = once(async () => {
    for (const { tenantId, agentId } of link.connectedAgents())
      await commands.handOver({ tenantId, agentId, commandId: null });
  }, unlucky);
  nodes.missed(() => {
    // An authority may have been made while nobody listened.
    link.reloadTls().catch(unlucky);
    lookAgain();
  });
  const presence: Presence = createPresence({
    ...deps,
    changed: () => {
      for (const { agentId } of link.connectedAgents())
        link.send(agentId, { type: 'servers', servers: presence.addresses() });
      lookAgain();
    },
    nodeId: nodes.id,
    agentsUrl: () => deps.config.agents.url,
    connections: link.count,
    release: (count) => {
      log.info({ count }, 'other nodes have room: agents are asked to go there');
      link.release(count);
    },
  });
  return presence;
}
