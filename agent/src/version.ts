declare const __ATLAS_AGENT_VERSION__: string | undefined;

/** Version of this agent; the bundle carries the package's, a run from source says so. */
export const agentVersion =
  typeof __ATLAS_AGENT_VERSION__ === 'string' ? __ATLAS_AGENT_VERSION__ : '0.0.0-source';

/**
 * What the launcher has started: `package`, or the name of a version's folder. Null when no launcher did, as for the
 * engine that SSH brings and a run from source: such a program cannot be replaced from within.
 */
export function launchedBuild(): string | null {
  return process.env['ATLAS_AGENT_BUILD'] ?? null;
}
