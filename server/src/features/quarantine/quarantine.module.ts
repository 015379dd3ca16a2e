// Owns what became of each update, and the quarantine of those that fail too often.
// Promises that an update in quarantine is in no new plan and in no wave that has not begun, until a person lifts it.
// Never lifts one by itself, and never stops a host that has begun.
import { quarantineRoutes } from './quarantine.routes.ts';
import { QuarantineService, type QuarantineDeps } from './quarantine.service.ts';

export function createQuarantineModule(deps: QuarantineDeps) {
  const service = new QuarantineService(deps);
  return { service, routes: quarantineRoutes(service) };
}
