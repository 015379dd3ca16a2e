import type { Routes } from '#contract/routes.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import { idPage } from '../../platform/page.ts';
import type { AuditService } from './audit.service.ts';

export function auditRoutes(
  service: AuditService,
): RouteHandlers<
  Routes,
  'listAuditEntries' | 'getAuditState' | 'getAuditProof' | 'verifyAudit' | 'getAuditFile'
> {
  return {
    listAuditEntries: ({ params, query }) => service.list(params.tenantId, { ...query, ...idPage(query) }),
    getAuditState: ({ params }) => service.state(params.tenantId),
    getAuditProof: ({ params }) => service.proof(params.tenantId, params.index),
    verifyAudit: ({ params, caller }) =>
      service.verify(params.tenantId, { kind: caller.kind, id: caller.id }),
    getAuditFile: ({ params }) => service.file(params.tenantId, params['*']),
  };
}
