declare const __ATLAS_AGENT_VERSION__: string | undefined;

/** Version of this agent; the bundle carries the package's, a run from source says so. */
export const agentVersion =
  typeof __ATLAS_AGENT_VERSION__ === 'string' ? __ATLAS_AGENT_VERSION__ : '0.0.0-source';
