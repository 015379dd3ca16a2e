// Owns programs that agents may become: their import, which hosts are asked in which order, and what came of each.
// Promises that only a build which the root keys have signed is handed out, and that the others wait for the first hosts.
// Never vouches for a build: each agent checks the signatures by itself, and its launcher goes back without us.
import type { buildRoutes as described } from '#contract/builds.ts';
import type { Routes } from '#contract/routes.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import type { Ticker } from '../../platform/ticker.ts';
import type { BuildsDeps } from './builds.deps.ts';
import { buildsJobs } from './builds.jobs.ts';
import { buildRoutes } from './builds.routes.ts';
import { BuildsRollout } from './builds.rollout.ts';
import { BuildsService } from './builds.service.ts';

export interface BuildsModule {
  readonly service: BuildsService;
  readonly rollout: BuildsRollout;
  readonly jobs: Ticker;
  readonly routes: RouteHandlers<Routes, keyof typeof described>;
}

export function createBuildsModule(deps: BuildsDeps): BuildsModule {
  const service = new BuildsService(deps);
  const rollout = new BuildsRollout(deps);
  return { service, rollout, jobs: buildsJobs(deps, rollout), routes: buildRoutes(service) };
}
