import type { fleetRoutes } from '#contract/fleet.ts';
import type { Db, TenantTx } from '../../platform/db.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import { idPage } from '../../platform/http/idCursor.ts';
import { countAgents, listAgents } from './agents.repository.ts';
import type { AgentsService } from './agents.service.ts';
import { listTokens } from './enrolment.repository.ts';
import type { EnrolmentService } from './enrolment.service.ts';

/** Routes of the contract that this feature answers. */
export type AgentRouteNames =
  'listAgents' | 'revokeAgent' | 'listEnrolmentTokens' | 'createEnrolmentToken' | 'revokeEnrolmentToken';

/** A page of a list in the order of its identifiers, newest first. */
async function page<T extends { readonly id: string }>(
  query: { readonly cursor?: string; readonly limit?: number },
  list: (page: { before: string | null; limit: number }) => Promise<T[]>,
): Promise<{ items: T[]; nextCursor: string | null }> {
  const { before, limit } = idPage(query);
  const rows = await list({ before, limit: limit + 1 });
  const items = rows.slice(0, limit);
  return { items, nextCursor: rows.length > limit ? (items.at(-1)?.id ?? null) : null };
}

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
      inTenant(params, async (tx) => ({
        ...(await page(query, (range) => listAgents(tx, range))),
        total: await countAgents(tx),
      })),
    revokeAgent: ({ params, body, caller }) =>
      service.revoke(params.tenantId, caller, { agentId: params.agentId, reason: body.reason }),
    listEnrolmentTokens: ({ params, query }) =>
      inTenant(params, async (tx) => ({
        ...(await page(query, (range) => listTokens(tx, range))),
        total: null,
      })),
    createEnrolmentToken: ({ params, body, caller }) => enrolment.createToken(params.tenantId, caller, body),
    revokeEnrolmentToken: async ({ params, caller }) => {
      await enrolment.revokeToken(params.tenantId, caller, params.enrolmentTokenId);
      return null;
    },
  };
}
