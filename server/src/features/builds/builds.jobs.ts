import { Ticker } from '../../platform/ticker.ts';
import type { BuildsDeps } from './builds.deps.ts';
import type { BuildsRollout } from './builds.rollout.ts';

const everyMs = 5_000;

/** Takes rollouts one step further; a process that dies leaves them to the next turn. */
export function buildsJobs(deps: BuildsDeps, rollout: BuildsRollout): Ticker {
  return new Ticker(deps, {
    everyMs,
    tick: () => rollout.advanceAll(),
    complaint: 'agents were not asked to become their next version; tried again soon',
  });
}
