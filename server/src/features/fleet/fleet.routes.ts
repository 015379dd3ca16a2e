import type { fleetRoutes } from '#contract/fleet.ts';
import type { Db } from '../../platform/db.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import { listHosts } from './fleet.read-model.ts';
import type { FleetService } from './fleet.service.ts';

/** Routes of the contract that this feature answers. */
export type FleetRouteNames =
  'getFleetSummary' | 'listHosts' | 'getHost' | 'updateHost' | 'listHostUpdates' | 'scanHost';

export function createFleetRoutes(deps: {
  readonly db: Db;
  readonly service: FleetService;
}): RouteHandlers<typeof fleetRoutes, FleetRouteNames> {
  const { db, service } = deps;
  return {
    getFleetSummary: ({ params, caller }) => service.summary(params.tenantId, caller.id),
    listHosts: ({ params, query }) => db.inTenant(params.tenantId, (tx) => listHosts(tx, query)),
    getHost: ({ params }) => service.get(params.tenantId, params.hostId),
    updateHost: ({ params, body, caller, version }) =>
      service.update({ tenantId: params.tenantId, actor: caller }, { id: params.hostId, version }, body),
    listHostUpdates: ({ params, query }) => service.listUpdates(params.tenantId, params.hostId, query),
    scanHost: ({ params, caller }) => service.scan(params.tenantId, caller, params.hostId),
  };
}
