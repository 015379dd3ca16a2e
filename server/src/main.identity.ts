import { createKeycloakDirectory, type IdentityDirectory } from './features/access/identityDirectory.ts';
import { createTokenVerifier, type TokenVerifier } from './features/access/tokens.verifier.ts';
import type { Platform } from './main.platform.ts';
import {
  apiAudience,
  cliClientId,
  realmName,
  serverClientId,
  webClientId,
} from './platform/identity/realm.policy.ts';
import { serverSecretName } from './platform/identity/serverSecret.ts';

/** What speaks to the identity provider; tests put their own issuer here. */
export interface IdentityDoors {
  readonly tokens: TokenVerifier;
  readonly directory: IdentityDirectory;
}

/** The identity provider of the settings: its keys for tokens, and its accounts. */
export function identityDoors({ config, clock, secrets }: Platform): IdentityDoors {
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
