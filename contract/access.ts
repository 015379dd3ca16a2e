import { Type, type Static } from 'typebox';
import { Instant, Line, OneOf, OrNull, Strict, Uuid } from '#contract/schema.ts';

/** What a caller may do. A route names exactly one. */
export const permissions = [
  'platform.manage',
  'tenants.read',
  'tenants.manage',
  'members.read',
  'members.manage',
  'apiKeys.manage',
  'fleet.read',
  'fleet.manage',
  'agents.read',
  'agents.enrol',
  'agents.revoke',
  'agents.update',
  'ssh.manage',
  'policies.read',
  'policies.manage',
  'exceptions.read',
  'exceptions.manage',
  'exceptions.approve',
  'windows.read',
  'windows.manage',
  'plans.read',
  'plans.create',
  'releases.read',
  'releases.sign',
  'runs.read',
  'runs.control',
  'locks.read',
  'locks.sign',
  'trust.read',
  'trust.manage',
  'trust.enrolKey',
  'audit.read',
] as const;
export type Permission = (typeof permissions)[number];

/** What only a person may do, whatever a machine's key says: sign, decide what is not installed, and decide who else may act. */
export const peopleOnlyPermissions: readonly Permission[] = [
  'platform.manage',
  'members.manage',
  'apiKeys.manage',
  'agents.update',
  'ssh.manage',
  'exceptions.manage',
  'exceptions.approve',
  'releases.sign',
  'locks.sign',
  'trust.enrolKey',
  'trust.manage',
];

export const roles = [
  'platform_admin',
  'tenant_admin',
  'operator',
  'approver',
  'auditor',
  'client_viewer',
] as const;
export type Role = (typeof roles)[number];

const reading: readonly Permission[] = [
  'tenants.read',
  'fleet.read',
  'agents.read',
  'policies.read',
  'exceptions.read',
  'windows.read',
  'plans.read',
  'releases.read',
  'runs.read',
  'locks.read',
  'trust.read',
];

/** Permissions of each role inside a tenant. `platform_admin` holds its permissions outside any tenant. */
export const rolePermissions: Readonly<Record<Role, readonly Permission[]>> = {
  platform_admin: ['platform.manage', 'tenants.read', 'tenants.manage'],
  tenant_admin: [
    ...reading,
    'tenants.manage',
    'members.read',
    'members.manage',
    'apiKeys.manage',
    'fleet.manage',
    'agents.enrol',
    'agents.revoke',
    'agents.update',
    'ssh.manage',
    'policies.manage',
    'exceptions.manage',
    'windows.manage',
    'trust.manage',
    'audit.read',
  ],
  operator: [
    ...reading,
    'members.read',
    'fleet.manage',
    'policies.manage',
    'exceptions.manage',
    'windows.manage',
    'plans.create',
    'runs.control',
    'audit.read',
  ],
  approver: [
    ...reading,
    'members.read',
    'exceptions.manage',
    'exceptions.approve',
    'releases.sign',
    'locks.sign',
    'trust.enrolKey',
    'audit.read',
  ],
  auditor: [...reading, 'members.read', 'audit.read'],
  client_viewer: ['tenants.read', 'fleet.read', 'runs.read', 'plans.read', 'windows.read'],
};

export const RoleName = OneOf(roles);
export const PermissionName = OneOf(permissions);

/** The caller as the server sees it. */
export const Me = Strict({
  kind: OneOf(['person', 'apiKey']),
  id: Uuid,
  name: Line(200),
  email: OrNull(Type.String()),
  locale: OneOf(['fr', 'en']),
  /** Authentication context: 1 password, 2 password and second factor, 3 fresh passkey. */
  acr: Type.Integer({ minimum: 0, maximum: 3 }),
  platformAdmin: Type.Boolean(),
  memberships: Type.Array(
    Strict({
      tenantId: Uuid,
      tenantName: Line(200),
      tenantColour: Type.String(),
      roles: Type.Array(RoleName),
      permissions: Type.Array(PermissionName),
    }),
  ),
});

export const Member = Strict({
  personId: Uuid,
  name: Line(200),
  email: OrNull(Type.String()),
  roles: Type.Array(RoleName),
  lastSeenAt: OrNull(Instant),
  createdAt: Instant,
  version: Type.Integer(),
});

export const MemberCreate = Strict({
  username: Type.String({ pattern: '^[a-z0-9][a-z0-9._-]{2,62}$' }),
  name: Line(200),
  email: Type.String({ maxLength: 254, pattern: '^[^@\\s]{1,64}@[^@\\s]{1,189}$' }),
  roles: Type.Array(OneOf(roles.filter((role) => role !== 'platform_admin')), {
    minItems: 1,
    maxItems: 5,
    uniqueItems: true,
  }),
});

/** Answer to creating a member: the first password is shown once. */
export const MemberCreated = Strict({ member: Member, firstPassword: Type.String() });

export const MemberUpdate = Strict({
  roles: Type.Array(OneOf(roles.filter((role) => role !== 'platform_admin')), {
    maxItems: 5,
    uniqueItems: true,
  }),
});

export const ApiKey = Strict({
  id: Uuid,
  name: Line(120),
  scopes: Type.Array(PermissionName),
  createdBy: Uuid,
  createdAt: Instant,
  expiresAt: Instant,
  lastUsedAt: OrNull(Instant),
  revokedAt: OrNull(Instant),
});

export const ApiKeyCreate = Strict({
  name: Line(120),
  scopes: Type.Array(PermissionName, { minItems: 1, maxItems: permissions.length, uniqueItems: true }),
  expiresInDays: Type.Integer({ minimum: 1, maximum: 366 }),
});

/** The secret is shown once; the server keeps its hash. */
export const ApiKeyCreated = Strict({ apiKey: ApiKey, secret: Type.String() });

export type Me = Static<typeof Me>;
export type Member = Static<typeof Member>;
export type MemberCreate = Static<typeof MemberCreate>;
export type ApiKey = Static<typeof ApiKey>;
export type ApiKeyCreate = Static<typeof ApiKeyCreate>;
