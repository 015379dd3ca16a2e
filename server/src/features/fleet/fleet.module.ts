// Owns hosts: where they are, what their agents say about them, their health checks, which run has them.
// Promises that a status is computed from facts when it is read, and that an absent host is unknown.
// Never decides what is installed: it hands facts to the planner.
import type { fleetRoutes } from '#contract/fleet.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import type { FleetDeps } from './fleet.deps.ts';
import { createFleetRoutes, type FleetRouteNames } from './fleet.routes.ts';
import { FleetService } from './fleet.service.ts';

export type { FleetDeps, WorkCounts } from './fleet.deps.ts';
export type { FleetService } from './fleet.service.ts';
export type { HostCandidate } from './fleet.read-model.ts';

export interface FleetModule {
  readonly service: FleetService;
  readonly routes: RouteHandlers<typeof fleetRoutes, FleetRouteNames>;
}

export function createFleetModule(deps: FleetDeps): FleetModule {
  const service = new FleetService(deps);
  return { service, routes: createFleetRoutes({ db: deps.db, service }) };
}
