import type { Drainage } from '../guard/drainage.ts';
import type { Guardian } from '../guard/guardian.ts';
import type { HostLink } from '../link/hostLink.ts';
import type { AgentParts } from '../runner/agentParts.ts';
import type { AgentView } from '../verify/agentView.ts';
import { agentVersion, launchedBuild } from '../version.ts';
import { findWork } from './findWork.ts';
import { SelfUpdate } from './selfUpdate.ts';
import { VersionFolders } from './versionFolders.ts';

/** What the agent lends to its own replacement. */
export interface SelfUpdateParts {
  readonly parts: AgentParts;
  readonly guardian: Guardian;
  readonly drainage: Drainage;
  readonly link: () => HostLink;
  readonly view: () => AgentView;
  readonly isLooking: () => boolean;
  /** Takes no further order from here on; `false` takes them again. */
  readonly pause: (isPaused: boolean) => void;
}

/** Connects the replacement of this program with the agent at work. */
export function createSelfUpdate(agent: SelfUpdateParts): SelfUpdate {
  const { journal, memory, state } = agent.parts;
  const { guardian, drainage } = agent;
  return new SelfUpdate({
    folders: new VersionFolders(state.versions),
    running: agentVersion,
    launched: launchedBuild(),
    view: () => {
      const { policy, nowMs, timeFloorMs, lock } = agent.view();
      return { policy, nowMs, timeFloorMs, isLocked: lock.tenantLocked };
    },
    findWork: async () =>
      agent.isLooking()
        ? 'the host is being looked at'
        : findWork({ index: journal.index, guardian, drainage, nowMs: Date.now() }),
    pause: agent.pause,
    send: (frame) => agent.link().send(frame),
    told: () => memory.buildTold,
  });
}
