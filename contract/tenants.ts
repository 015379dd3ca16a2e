import { Type, type Static } from 'typebox';
import {
  ApiKey,
  ApiKeyCreate,
  ApiKeyCreated,
  Me,
  Member,
  MemberCreate,
  MemberCreated,
  MemberUpdate,
} from '#contract/access.ts';
import { defineRoute, NoContent, Page, pageQuery } from '#contract/route.ts';
import { Instant, Line, OneOf, OrNull, Strict, Uuid } from '#contract/schema.ts';

const Colour = OneOf(['slate', 'blue', 'teal', 'green', 'olive', 'orange', 'brown', 'rose', 'violet']);
/** Name of the IANA time zone database; the server knows which exist. */
export const TimeZone = Type.String({ pattern: '^[A-Za-z]+(/[A-Za-z0-9_+-]+){0,2}$', maxLength: 64 });

export const Tenant = Strict({
  id: Uuid,
  name: Line(120),
  slug: Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,39}$' }),
  colour: Colour,
  createdAt: Instant,
  version: Type.Integer(),
});
export const TenantCreate = Strict({
  name: Line(120),
  slug: Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,39}$' }),
  colour: Type.Optional(Colour),
});
export const TenantUpdate = Strict({ name: Type.Optional(Line(120)), colour: Type.Optional(Colour) });

export const Site = Strict({
  id: Uuid,
  name: Line(120),
  timeZone: TimeZone,
  createdAt: Instant,
  version: Type.Integer(),
});
export const SiteCreate = Strict({ name: Line(120), timeZone: TimeZone });

export const tenantParams = Strict({ tenantId: Uuid });

/** What the sign-in page needs before anybody has signed in. */
export const Bootstrap = Strict({
  product: Type.Literal('ATLAS ORCHESTRATOR™'),
  version: Line(40),
  identity: Strict({ url: Type.String(), realm: Type.String(), clientId: Type.String() }),
  locales: Type.Array(OneOf(['fr', 'en'])),
  serverTime: Instant,
});

export const LiveTicket = Strict({ ticket: Type.String(), expiresAt: Instant });

/** Something that changed, in the tenant's sequence. Screens read the object again; `data` carries what a live view needs at once. */
export const LiveEvent = Strict({
  seq: Type.Integer({ minimum: 1 }),
  at: Instant,
  type: OneOf([
    'host.changed',
    'agent.changed',
    'group.changed',
    'exception.changed',
    'plan.changed',
    'release.changed',
    'notice.changed',
    'run.changed',
    'hostRun.changed',
    'hostRun.log',
    'lock.changed',
    'trust.changed',
    'audit.checkpoint',
  ]),
  subjectId: OrNull(Uuid),
  data: Type.Record(Type.String(), Type.Unknown()),
});

export const tenantRoutes = {
  getBootstrap: defineRoute({
    method: 'GET',
    path: '/api/v1/bootstrap',
    permission: 'public',
    audit: null,
    summary: 'What the sign-in page needs',
    response: Bootstrap,
  }),
  getMe: defineRoute({
    method: 'GET',
    path: '/api/v1/me',
    permission: 'authenticated',
    audit: null,
    summary: 'The caller, memberships and permissions',
    response: Me,
  }),
  createLiveTicket: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/live-tickets',
    permission: 'tenants.read',
    audit: 'live_ticket.created',
    summary: 'A one-use ticket (30 s) that opens the live WebSocket of this tenant',
    params: tenantParams,
    response: LiveTicket,
    status: 201,
  }),
  listEvents: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/events',
    permission: 'tenants.read',
    audit: null,
    summary: 'Events after a sequence number, for callers without a WebSocket',
    params: tenantParams,
    query: Strict({
      after: Type.Integer({ minimum: 0 }),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
    }),
    response: Strict({ items: Type.Array(LiveEvent), lastSeq: Type.Integer() }),
  }),
  listTenants: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants',
    permission: 'authenticated',
    audit: null,
    summary: 'Tenants that the caller may see',
    query: Strict({ ...pageQuery }),
    response: Page(Tenant),
  }),
  createTenant: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants',
    permission: 'platform.manage',
    audit: 'tenant.created',
    summary: 'Create a tenant',
    body: TenantCreate,
    response: Tenant,
    status: 201,
    errors: ['already_exists'],
  }),
  getTenant: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId',
    permission: 'tenants.read',
    audit: null,
    summary: 'One tenant',
    params: tenantParams,
    response: Tenant,
  }),
  updateTenant: defineRoute({
    method: 'PATCH',
    path: '/api/v1/tenants/:tenantId',
    permission: 'tenants.manage',
    audit: 'tenant.updated',
    ifMatch: true,
    summary: 'Rename or recolour a tenant',
    params: tenantParams,
    body: TenantUpdate,
    response: Tenant,
  }),
  listSites: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/sites',
    permission: 'fleet.read',
    audit: null,
    summary: 'Sites',
    params: tenantParams,
    query: Strict({ ...pageQuery }),
    response: Page(Site),
  }),
  createSite: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/sites',
    permission: 'tenants.manage',
    audit: 'site.created',
    summary: 'Create a site',
    params: tenantParams,
    body: SiteCreate,
    response: Site,
    status: 201,
    errors: ['already_exists'],
  }),
  updateSite: defineRoute({
    method: 'PATCH',
    path: '/api/v1/tenants/:tenantId/sites/:siteId',
    permission: 'tenants.manage',
    audit: 'site.updated',
    ifMatch: true,
    summary: 'Rename a site or change its time zone',
    params: Strict({ tenantId: Uuid, siteId: Uuid }),
    body: Strict({ name: Type.Optional(Line(120)), timeZone: Type.Optional(TimeZone) }),
    response: Site,
  }),
  listMembers: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/members',
    permission: 'members.read',
    audit: null,
    summary: 'People and their roles',
    params: tenantParams,
    query: Strict({ ...pageQuery }),
    response: Page(Member),
  }),
  createMember: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/members',
    permission: 'members.manage',
    audit: 'member.created',
    acr: 3,
    summary: 'Create an account (or adopt an existing one) and give it roles here',
    params: tenantParams,
    body: MemberCreate,
    response: MemberCreated,
    status: 201,
    errors: ['already_exists', 'identity_provider_unavailable'],
  }),
  updateMember: defineRoute({
    method: 'PUT',
    path: '/api/v1/tenants/:tenantId/members/:personId',
    permission: 'members.manage',
    audit: 'member.updated',
    acr: 3,
    ifMatch: true,
    summary: 'Set the roles of a person here',
    params: Strict({ tenantId: Uuid, personId: Uuid }),
    body: MemberUpdate,
    response: Member,
  }),
  removeMember: defineRoute({
    method: 'DELETE',
    path: '/api/v1/tenants/:tenantId/members/:personId',
    permission: 'members.manage',
    audit: 'member.removed',
    summary: 'Take a person out of this tenant',
    params: Strict({ tenantId: Uuid, personId: Uuid }),
    response: NoContent,
    status: 204,
  }),
  listApiKeys: defineRoute({
    method: 'GET',
    path: '/api/v1/tenants/:tenantId/api-keys',
    permission: 'apiKeys.manage',
    audit: null,
    summary: 'Keys for machines',
    params: tenantParams,
    query: Strict({ ...pageQuery }),
    response: Page(ApiKey),
  }),
  createApiKey: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/api-keys',
    permission: 'apiKeys.manage',
    audit: 'api_key.created',
    acr: 3,
    summary: 'Create a key; its scopes are at most the caller’s own permissions',
    params: tenantParams,
    body: ApiKeyCreate,
    response: ApiKeyCreated,
    status: 201,
  }),
  revokeApiKey: defineRoute({
    method: 'DELETE',
    path: '/api/v1/tenants/:tenantId/api-keys/:apiKeyId',
    permission: 'apiKeys.manage',
    audit: 'api_key.revoked',
    summary: 'Revoke a key at once',
    params: Strict({ tenantId: Uuid, apiKeyId: Uuid }),
    response: NoContent,
    status: 204,
  }),
};

export type Tenant = Static<typeof Tenant>;
export type Site = Static<typeof Site>;
export type LiveEvent = Static<typeof LiveEvent>;
