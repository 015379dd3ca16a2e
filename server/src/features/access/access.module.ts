// Owns who may act: people, their memberships and roles, machine keys, the check of every credential.
// Promises: what is taken away stops acting within 5 s, and every change of rights has its audit entry.
// Never: keeps a password or a second factor (Keycloak does), or lets a key sign in a person's place.
import type { FastifyInstance } from 'fastify';
import type { tenantRoutes } from '#contract/tenants.ts';
import type { Me } from '#contract/access.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db } from '../../platform/db.ts';
import type { Authenticate, Caller } from '../../platform/http/caller.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Logger } from '../../platform/log.ts';
import { ApiKeysService } from './apiKeys.service.ts';
import { findUsableKey } from './apiKeys.repository.ts';
import { Callers } from './callers.ts';
import type { IdentityDirectory } from './identityDirectory.ts';
import { backChannelLogout } from './logout.ts';
import { MembersService } from './members.service.ts';
import { getPerson, listMemberships, removeDeadSessions } from './people.repository.ts';
import type { TokenVerifier } from './tokens.verifier.ts';

export interface AccessDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly log: Logger;
  readonly tokens: TokenVerifier;
  readonly directory: IdentityDirectory;
  /** Called when remembered callers are forgotten, for the other nodes to do the same. */
  readonly forgotten: () => void;
}

type Names =
  | 'getMe'
  | 'listMembers'
  | 'createMember'
  | 'updateMember'
  | 'removeMember'
  | 'listApiKeys'
  | 'createApiKey'
  | 'revokeApiKey';

export interface AccessModule {
  readonly authenticate: Authenticate;
  /** Forgets remembered callers, after memberships have changed elsewhere; other nodes are told. */
  readonly forget: () => void;
  /** The same for this process alone, which another one has told. */
  readonly forgetHere: () => void;
  /** True while the caller still has a place in the tenant, read from the database. */
  readonly belongs: (caller: Pick<Caller, 'kind' | 'id'>, tenantId: string) => Promise<boolean>;
  readonly routes: RouteHandlers<typeof tenantRoutes, Names>;
  /** Adds the endpoint of back-channel logout. */
  readonly extend: (app: FastifyInstance) => Promise<void>;
  /** Housekeeping, once an hour. */
  readonly removeDeadSessions: () => Promise<void>;
}

function toMe(caller: Caller): Me {
  const { kind, id, name, email, locale, acr, platformAdmin, memberships } = caller;
  return {
    kind,
    id,
    name,
    email,
    locale,
    acr,
    platformAdmin,
    memberships: memberships.map((membership) => ({
      ...membership,
      roles: [...membership.roles],
      permissions: [...membership.permissions],
    })),
  };
}

function belongs(db: Db): AccessModule['belongs'] {
  return ({ kind, id }, tenantId) =>
    db.inSystem('access.belongs', async (tx) => {
      if (kind === 'apiKey') return (await findUsableKey(tx, id))?.tenantId === tenantId;
      const person = await getPerson(tx, id);
      if (person === null || person.disabled) return false;
      return (await listMemberships(tx, id)).some((membership) => membership.tenantId === tenantId);
    });
}

export function createAccessModule(deps: AccessDeps): AccessModule {
  const callers = new Callers(deps);
  const { authenticate, forget: forgetHere } = callers;
  const forget = (): void => {
    forgetHere();
    deps.forgotten();
  };
  const members = new MembersService({ ...deps, forget });
  const apiKeys = new ApiKeysService({ ...deps, forget });
  return {
    authenticate,
    forget,
    forgetHere,
    belongs: belongs(deps.db),
    routes: {
      getMe: ({ caller }) => Promise.resolve(toMe(caller)),
      listMembers: ({ params, query }) => members.list(params.tenantId, query),
      createMember: ({ caller, params, body }) => members.create(caller, params.tenantId, body),
      updateMember: ({ caller, params, body, version }) =>
        members.update(caller, params.tenantId, { ...body, personId: params.personId, version }),
      removeMember: async ({ caller, params }) => {
        await members.remove(caller, params.tenantId, params.personId);
        return null;
      },
      listApiKeys: ({ params, query }) => apiKeys.list(params.tenantId, query),
      createApiKey: ({ caller, params, body }) => apiKeys.create(caller, params.tenantId, body),
      revokeApiKey: async ({ caller, params }) => {
        await apiKeys.revoke(caller, params.tenantId, params.apiKeyId);
        return null;
      },
    },
    extend: backChannelLogout({ ...deps, forget }),
    removeDeadSessions: () => deps.db.inSystem('access.removeDeadSessions', removeDeadSessions),
  };
}
