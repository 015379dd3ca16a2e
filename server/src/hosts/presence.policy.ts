/** A server process that is alive, as it said itself a moment ago. */
export interface LiveNode {
  readonly id: string;
  readonly agentsUrl: string;
  readonly connections: number;
}

/** Above its fair share by more than this a node lets agents go: some unevenness is cheaper than moving. */
const tolerance = { share: 0.2, atLeast: 5 } as const;
/** Of its connections, at once: agents come back in a trickle, not in a storm. */
const movedAtOnce = 0.1;

/** How many of its agents a node asks to go to another one now. Zero when it is alone, or near its share. */
export function surplusOf(nodes: readonly LiveNode[], ownId: string): number {
  const own = nodes.find(({ id }) => id === ownId);
  if (own === undefined || nodes.length < 2) return 0;
  const share = nodes.reduce((sum, { connections }) => sum + connections, 0) / nodes.length;
  const over = Math.floor(own.connections - share);
  if (over <= Math.max(tolerance.atLeast, share * tolerance.share)) return 0;
  return Math.min(over, Math.max(1, Math.floor(own.connections * movedAtOnce)));
}
