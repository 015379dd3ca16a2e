import * as oidc from 'openid-client';
import type { Session } from './sessionFile.ts';
import { CommandError } from './failures.ts';
import { exitCodes } from './exitCodes.ts';
import { patientFetch } from './patientFetch.ts';

/** Client of the realm that may sign in by device authorisation and by nothing else (decision 4). */
const clientId = 'atlas-cli';

function isLoopback(url: URL): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname);
}

/** The origin of a server's address. Credentials travel in clear on this machine only: elsewhere it must be https. */
export function requireSafeOrigin(address: string): string {
  const url = URL.canParse(address) ? new URL(address) : null;
  const isSafe = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url));
  if (url === null || !isSafe) {
    throw new CommandError(
      [
        `adresse refusée : ${address} ; il faut https://, ou http:// sur cette machine`,
        `address refused: ${address}; it must be https://, or http:// on this machine`,
      ],
      exitCodes.usage,
    );
  }
  return url.origin;
}

/** The identity provider of a server; it must live on the server's own origin, or a lying answer could lead elsewhere. */
export async function findProvider(
  server: string,
  identity: { readonly url: string; readonly realm: string },
): Promise<oidc.Configuration> {
  const issuer = new URL(`${identity.url}/realms/${identity.realm}`);
  if (issuer.origin !== server) {
    throw new CommandError(
      [
        `le serveur ${server} envoie se connecter ailleurs : ${issuer.origin} ; utilisez son adresse publique`,
        `the server ${server} sends sign-in elsewhere: ${issuer.origin}; use its public address`,
      ],
      exitCodes.refused,
    );
  }
  // In clear on loopback only: requireSafeOrigin has seen to it.
  const execute = issuer.protocol === 'http:' ? [oidc.allowInsecureRequests] : [];
  return oidc.discovery(issuer, clientId, undefined, oidc.None(), {
    execute,
    [oidc.customFetch]: (url, options) => patientFetch(url, options as RequestInit),
  });
}

function toSession(
  server: string,
  tokens: oidc.TokenEndpointResponse & oidc.TokenEndpointResponseHelpers,
): Session {
  if (tokens.refresh_token === undefined)
    throw new Error('the identity provider gave no refresh token to the terminal');
  return {
    server,
    refreshToken: tokens.refresh_token,
    accessToken: tokens.access_token,
    accessExpiresAt: new Date(Date.now() + (tokens.expiresIn() ?? 0) * 1000).toISOString(),
  };
}

/** What a person needs to approve the terminal in a browser, on this machine or another. */
export interface DeviceCode {
  readonly address: string;
  readonly completeAddress: string;
  readonly code: string;
  readonly expiresInS: number;
}

/** OAuth 2.0 Device Authorization Grant (RFC 8628): shows a code, then asks until a person has approved it. */
export async function signInByDevice(
  server: string,
  provider: oidc.Configuration,
  show: (code: DeviceCode) => void,
): Promise<Session> {
  const device = await oidc.initiateDeviceAuthorization(provider, { scope: 'openid' });
  show({
    address: device.verification_uri,
    completeAddress: device.verification_uri_complete ?? device.verification_uri,
    code: device.user_code,
    expiresInS: device.expires_in,
  });
  try {
    return toSession(server, await oidc.pollDeviceAuthorizationGrant(provider, device));
  } catch (error) {
    throw refusalOf(error);
  }
}

function refusalOf(error: unknown): unknown {
  const code = error instanceof oidc.ResponseBodyError ? error.error : '';
  const isOver = code === 'expired_token' || (error instanceof Error && error.name === 'TimeoutError');
  if (isOver) {
    return new CommandError(
      [
        'le code a expiré sans avoir été approuvé ; recommencez : ./atlas login',
        'the code expired before anybody approved it; try again: ./atlas login',
      ],
      exitCodes.refused,
      { cause: error },
    );
  }
  if (code !== 'access_denied') return error;
  return new CommandError(
    ['la demande a été refusée dans le navigateur', 'the request was refused in the browser'],
    exitCodes.refused,
    { cause: error },
  );
}

/** A new pair of tokens; null when the session has ended, was revoked, or its refresh token has served. */
export async function renewSession(provider: oidc.Configuration, session: Session): Promise<Session | null> {
  try {
    return toSession(session.server, await oidc.refreshTokenGrant(provider, session.refreshToken));
  } catch (error) {
    if (error instanceof oidc.ResponseBodyError && error.error === 'invalid_grant') return null;
    throw error;
  }
}

/** Ends the terminal's grant at the identity provider (RFC 7009); the person's browser stays signed in. */
export async function revokeSession(provider: oidc.Configuration, session: Session): Promise<void> {
  await oidc.tokenRevocation(provider, session.refreshToken, { token_type_hint: 'refresh_token' });
}
