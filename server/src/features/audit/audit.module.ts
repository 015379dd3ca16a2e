// Owns how the audit log is read, proved and checked by people, agents and foreign tools.
// Promises that what it shows is what is sealed, and that a verification starts again from the bytes.
// Never changes an entry and never decides anything from one.
import { auditRoutes } from './audit.routes.ts';
import { AuditService } from './audit.service.ts';
import type { AuditDeps } from './audit.service.ts';

export type { AuditService } from './audit.service.ts';
export { tellCheckpoints } from './audit.news.ts';

export function createAuditModule(deps: AuditDeps) {
  const service = new AuditService(deps);
  return { service, routes: auditRoutes(service) };
}
