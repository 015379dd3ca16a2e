// Owns agents: their authorities and certificates, enrolment, whether they are there.
// Promises that a certificate opens the link only while its agent is neither revoked, copied nor superseded.
// Never decides what an agent may do: that is in what people sign and in what the agent verifies.
import type { fleetRoutes } from '#contract/fleet.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import type { AgentsDeps, LinkControl } from './agents.deps.ts';
import { createAgentRoutes, type AgentRouteNames } from './agents.routes.ts';
import { AgentsService } from './agents.service.ts';
import { AuthorityService } from './authority.service.ts';
import { EnrolmentService } from './enrolment.service.ts';

export type { AgentsDeps, LinkControl } from './agents.deps.ts';
export type { AgentsService, AgentIdentity } from './agents.service.ts';
export type { EnrolmentService } from './enrolment.service.ts';
export type { AuthorityService } from './authority.service.ts';

export interface AgentsModule {
  readonly service: AgentsService;
  readonly enrolment: EnrolmentService;
  readonly authorities: AuthorityService;
  readonly routes: RouteHandlers<typeof fleetRoutes, AgentRouteNames>;
  /** Connects the feature with the listeners, which need it first. Until then nothing is disconnected. */
  readonly controlLink: (control: LinkControl) => void;
}

export function createAgentsModule(deps: AgentsDeps): AgentsModule {
  let control: LinkControl = {
    connected: () => undefined,
    disconnect: () => undefined,
    authoritiesChanged: () => Promise.resolve(),
  };
  const current = (): LinkControl => control;
  const authorities = new AuthorityService(deps, current);
  const service = new AgentsService(deps, authorities, current);
  const enrolment = new EnrolmentService(deps, authorities, current);
  return {
    service,
    enrolment,
    authorities,
    routes: createAgentRoutes({ db: deps.db, service, enrolment }),
    controlLink: (given) => {
      control = given;
    },
  };
}
