import type { HostsPort } from './port.ts';

/** The part of a port that features use. */
type Ways = Pick<HostsPort, 'send' | 'isConnected' | 'connectedAgents' | 'disconnect'>;

/** One port over both ways: visits for hosts that SSH drives, the agents' link for all others. */
export function joinReaches(
  link: Ways,
  visits: Ways & { readonly knows: (agentId: string) => boolean },
): Ways {
  const wayOf = (agentId: string): Ways => (visits.knows(agentId) ? visits : link);
  return {
    send: (agentId, frame) => wayOf(agentId).send(agentId, frame),
    isConnected: (agentId) => wayOf(agentId).isConnected(agentId),
    connectedAgents: () => [...link.connectedAgents(), ...visits.connectedAgents()],
    disconnect: (agentId, code, retryAfterMs) => wayOf(agentId).disconnect(agentId, code, retryAfterMs),
  };
}
