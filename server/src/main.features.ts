import type { FastifyInstance } from 'fastify';
import { digestWords } from '#contract/words.ts';
import { createAccessModule, type AccessModule } from './features/access/access.module.ts';
import { createKeycloakDirectory, type IdentityDirectory } from './features/access/identityDirectory.ts';
import { createTokenVerifier, type TokenVerifier } from './features/access/tokens.verifier.ts';
import { createAuditModule } from './features/audit/audit.module.ts';
import { createEventsModule } from './features/events/events.module.ts';
import { createPoliciesModule } from './features/policies/policies.module.ts';
import { createTenantsModule } from './features/tenants/tenants.module.ts';
import type { Platform } from './main.platform.ts';
import type { Authenticate } from './platform/http/caller.ts';
import {
  apiAudience,
  cliClientId,
  realmName,
  serverClientId,
  webClientId,
} from './platform/identity/realm.policy.ts';
import { serverSecretName } from './platform/identity/serverSecret.ts';

export interface Features {
  readonly handlers: Readonly<Record<string, unknown>>;
  readonly authenticate: Authenticate;
  readonly extend: readonly ((app: FastifyInstance) => Promise<void>)[];
  readonly housekeeping: readonly (() => Promise<void>)[];
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** What speaks to the identity provider; tests put their own issuer here. */
export interface IdentityDoors {
  readonly tokens: TokenVerifier;
  readonly directory: IdentityDirectory;
}

function identityDoors({ config, clock, secrets }: Platform): IdentityDoors {
  const tokens = createTokenVerifier({
    issuer: config.issuer,
    jwksUrl: `${config.keycloak.url}/realms/${realmName}/protocol/openid-connect/certs`,
    audience: apiAudience,
    clients: [webClientId, cliClientId],
    clock,
  });
  const directory = createKeycloakDirectory({
    baseUrl: config.keycloak.url,
    realm: realmName,
    clientId: serverClientId,
    clientSecret: async () => {
      const secret = await secrets.get(serverSecretName);
      if (secret === null) throw new Error('the realm is not provisioned: run the provision command');
      return secret.toString('utf8');
    },
  });
  return { tokens, directory };
}

/** Builds every feature and hands each what it needs of the others. */
export function createFeatures(platform: Platform, doors: IdentityDoors = identityDoors(platform)): Features {
  const { config, db, sealer } = platform;
  const access: AccessModule = createAccessModule({ ...platform, ...doors });
  const events = createEventsModule({ ...platform, publicUrl: config.publicUrl, belongs: access.belongs });
  const tenants = createTenantsModule({
    ...platform,
    forgetCaller: access.forget,
    version: config.version,
    identity: { url: `${config.publicUrl}/idp`, realm: realmName, clientId: webClientId },
  });
  const audit = createAuditModule({
    db,
    writer: platform.audit,
    sealer,
    memory: platform.heads,
    publicKeySpki: platform.logKey.publicKeySpki,
    words: digestWords,
  });
  const policies = createPoliciesModule(platform);
  return {
    handlers: {
      ...access.routes,
      ...events.routes,
      ...tenants.routes,
      ...audit.routes,
      ...policies.routes,
    },
    authenticate: access.authenticate,
    extend: [access.extend, events.extend],
    housekeeping: [access.removeDeadSessions, events.removeOldEvents],
    start: () => {
      events.start();
      return Promise.resolve();
    },
    stop: () => {
      events.stop();
      return Promise.resolve();
    },
  };
}
