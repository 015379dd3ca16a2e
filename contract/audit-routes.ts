import { Type } from 'typebox';
import { AuditEntry, AuditProof, AuditState, AuditVerification, auditActions } from '#contract/audit.ts';
import { defineRoute, Page, pageQuery } from '#contract/route.ts';
import { Count, Instant, OneOf, Strict, Uuid } from '#contract/schema.ts';
import { tenantParams } from '#contract/tenants.ts';

export const auditRoutes = {
  listAuditEntries: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/audit/entries',
    permission: 'audit.read',
    audit: null,
    summary: 'Audit entries, newest first',
    params: tenantParams,
    query: Strict({
      ...pageQuery,
      action: Type.Optional(OneOf(auditActions)),
      actorId: Type.Optional(Uuid),
      subjectId: Type.Optional(Uuid),
      from: Type.Optional(Instant),
      to: Type.Optional(Instant),
    }),
    response: Page(AuditEntry),
  }),
  getAuditState: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/audit',
    permission: 'audit.read',
    audit: null,
    summary: 'State of the log',
    params: tenantParams,
    response: AuditState,
  }),
  getAuditProof: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/audit/entries/:index/proof',
    permission: 'audit.read',
    audit: null,
    summary: 'Inclusion proof of one entry',
    params: Strict({ tenantId: Uuid, index: Count }),
    response: AuditProof,
  }),
  verifyAudit: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/audit/verifications',
    permission: 'audit.read',
    audit: 'audit.verified',
    summary: 'Recompute the whole log and compare it with every checkpoint and witness',
    params: tenantParams,
    response: AuditVerification,
  }),
  getAuditFile: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/audit/tlog/*',
    permission: 'audit.read',
    audit: null,
    produces: 'application/octet-stream',
    summary: 'The log as C2SP tlog-tiles: checkpoint, tile/…, tile/entries/…',
    params: Strict({ tenantId: Uuid, '*': Type.String({ maxLength: 200 }) }),
    response: Type.String(),
  }),
};
