import type { Permission, Role } from '#contract/access.ts';

export interface CallerMembership {
  readonly tenantId: string;
  readonly tenantName: string;
  readonly tenantColour: string;
  readonly roles: readonly Role[];
  readonly permissions: ReadonlySet<Permission>;
}

/** Who calls, as proved by the credential of this request. */
export interface Caller {
  readonly kind: 'person' | 'apiKey';
  /** Person's or API key's id. */
  readonly id: string;
  readonly name: string;
  readonly email: string | null;
  readonly locale: 'fr' | 'en';
  /** Authentication context: 1 password, 2 and second factor, 3 fresh passkey or code. 2 for an API key. */
  readonly acr: number;
  /** When the person last proved who they are, milliseconds since the epoch; null for an API key. */
  readonly authenticatedAtMs: number | null;
  readonly platformAdmin: boolean;
  readonly platformPermissions: ReadonlySet<Permission>;
  readonly memberships: readonly CallerMembership[];
}

/** Finds out who calls. Throws AppError unauthenticated or token_expired. */
export type Authenticate = (credentials: { readonly authorization: string | undefined }) => Promise<Caller>;

export function membershipOf(caller: Caller, tenantId: string): CallerMembership | undefined {
  return caller.memberships.find((membership) => membership.tenantId === tenantId);
}

/** True when the caller holds the permission: in that tenant, or on the platform where there is no tenant. */
export function isAllowed(caller: Caller, permission: Permission, tenantId: string | null): boolean {
  if (tenantId === null) return caller.platformPermissions.has(permission);
  return membershipOf(caller, tenantId)?.permissions.has(permission) ?? false;
}

/** Who acts: people and machine keys can. */
export type Actor = Pick<Caller, 'kind' | 'id'>;

/** Who acts, and in which tenant. */
export interface TenantActor extends Actor {
  readonly tenantId: string;
}

/** The caller of a tenant's route. */
export function tenantActor(call: {
  readonly params: { readonly tenantId: string };
  readonly caller: Caller;
}): TenantActor {
  return { tenantId: call.params.tenantId, id: call.caller.id, kind: call.caller.kind };
}

/** Who acts, as audit entries name it. */
export function actorOf(actor: Actor): { actorKind: Actor['kind']; actorId: string } {
  return { actorKind: actor.kind, actorId: actor.id };
}
