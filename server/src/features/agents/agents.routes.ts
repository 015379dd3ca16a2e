import type { fleetRoutes } from '#contract/fleet.ts';
import type { Db, TenantTx } from '../../platform/db.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import { byId, idPage, pageOf } from '../../platform/page.ts';
import { countAgents, listAgents } from './agents.repository.ts';
import type { AgentsService } from './agents.service.ts';
import { listTokens } from './enrolment.repository.ts';
import type { EnrolmentService } from './enrolment.service.ts';

/** Routes of the contract that this feature answers. */
export type AgentRouteNames =
  'listAgents' | 'revokeAgent' | 'listEnrolmentTokens' | 'createEnrolmentToken' | 'revokeEnrolmentToken';

export function createAgentRoutes(deps: {
  readonly db: Db;
  readonly service: AgentsService;
  readonly enrolment: EnrolmentService;
}): RouteHandlers<typeof fleetRoutes, AgentRouteNames> {
  const { service, enrolment } = deps;
  const inTenant = <T>(params: { tenantId: string }, fn: (tx: TenantTx) => Promise<T>): Promise<T> =>
    deps.db.inTenant(params.tenantId, fn);
  return {
    listAgents: ({ params, query }) =>
      inTenant(params, async (tx) => {
        const page = idPage(query);
        const agents = await listAgents(tx, page);
        return pageOf(agents, page.limit, {
          item: (agent) => agent,
          keys: byId,
          total: await countAgents(tx),
        });
      }),
    revokeAgent: ({ params, body, caller }) =>
      service.revoke(params.tenantId, caller, { agentId: params.agentId, reason: body.reason }),
    listEnrolmentTokens: ({ params, query }) =>
      inTenant(params, async (tx) => {
        const page = idPage(query);
        const tokens = await listTokens(tx, page);
        return pageOf(tokens, page.limit, { item: (token) => token, keys: byId });
      }),
    createEnrolmentToken: ({ params, body, caller }) => enrolment.createToken(params.tenantId, caller, body),
    revokeEnrolmentToken: async ({ params, caller }) => {
      await enrolment.revokeToken(params.tenantId, caller, params.enrolmentTokenId);
      return null;
    },
  };
}
