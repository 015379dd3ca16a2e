// Owns plans: which hosts, in which order, with which orders, and why not the others.
// Promises that a plan never changes once made and that its digest covers every order.
// Never talks to a host and never releases anything.
import { plansRoutes } from './plans.routes.ts';
import { PlansService } from './plans.service.ts';
import type { PlansDeps } from './plans.service.ts';

export type { PlanDocument } from './plan-document.policy.ts';
export type { HostRelations, PlanCandidate } from './plans.policy.ts';
export type { PlansService } from './plans.service.ts';

export function createPlansModule(deps: PlansDeps) {
  const service = new PlansService(deps);
  return { service, routes: plansRoutes(service) };
}
