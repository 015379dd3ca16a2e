// Owns tenants and their sites, and what the sign-in page is told before anybody has signed in.
// Promises: a tenant is born inside its own scope, together with its first audit entries.
// Never: shows a tenant to somebody who is no member of it, a platform administrator included.
import type { tenantRoutes } from '#contract/tenants.ts';
import { toInstant, type Clock } from '../../platform/clock.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import { TenantsService, type TenantsDeps } from './tenants.service.ts';

export interface TenantsModuleDeps extends TenantsDeps {
  readonly clock: Clock;
  readonly version: string;
  /** What a browser needs to sign in; the address is on our own origin. */
  readonly identity: { readonly url: string; readonly realm: string; readonly clientId: string };
}

type Names =
  | 'getBootstrap'
  | 'listTenants'
  | 'createTenant'
  | 'getTenant'
  | 'updateTenant'
  | 'listSites'
  | 'createSite'
  | 'updateSite';

export interface TenantsModule {
  readonly service: TenantsService;
  readonly routes: RouteHandlers<typeof tenantRoutes, Names>;
}

export function createTenantsModule(deps: TenantsModuleDeps): TenantsModule {
  const service = new TenantsService(deps);
  return {
    service,
    routes: {
      getBootstrap: () =>
        Promise.resolve({
          product: 'ATLAS ORCHESTRATOR™' as const,
          version: deps.version,
          identity: { ...deps.identity },
          locales: ['fr', 'en'] as ('fr' | 'en')[],
          serverTime: toInstant(deps.clock.now()),
        }),
      listTenants: ({ caller, query }) => service.list(caller, query),
      createTenant: ({ caller, body }) => service.create(caller, body),
      getTenant: ({ params }) => service.get(params.tenantId),
      updateTenant: ({ caller, params, body, version }) =>
        service.update(caller, params.tenantId, { ...body, version }),
      listSites: ({ params, query }) => service.listSites(params.tenantId, query),
      createSite: ({ caller, params, body }) => service.createSite(caller, params.tenantId, body),
      updateSite: ({ caller, params, body, version }) =>
        service.updateSite(caller, params.tenantId, { ...body, id: params.siteId, version }),
    },
  };
}
