import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, type JWTPayload } from 'jose';
import { apiAudience, webClientId } from '../../server/src/platform/identity/realm.policy.ts';

/** Who signs in, as an access token says it. */
export interface TokenWish {
  readonly subject: string;
  readonly sid?: string;
  readonly acr?: number;
  /** Claims in place of the right ones. */
  readonly claims?: JWTPayload;
  readonly lifeS?: number;
  /** Signs with a key that nobody published. */
  readonly forged?: boolean;
}

/** An issuer of tokens on the loopback, with real keys behind a real JWKS address. */
export interface TestIssuer {
  readonly issuer: string;
  readonly jwksUrl: string;
  readonly token: (wish: TokenWish) => Promise<string>;
  readonly logoutToken: (claims: JWTPayload) => Promise<string>;
  readonly close: () => Promise<void>;
}

const nowS = (): number => Math.floor(Date.now() / 1000);

export async function startIssuer(): Promise<TestIssuer> {
  const good = await generateKeyPair('ES256', { extractable: true });
  const stranger = await generateKeyPair('ES256', { extractable: true });
  const keys = [{ ...(await exportJWK(good.publicKey)), kid: 'one', alg: 'ES256', use: 'sig' }];
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const issuer = `http://127.0.0.1:${port}/realms/atlas`;
  const sign = (payload: JWTPayload, forged = false): Promise<string> =>
    new SignJWT(payload)
      .setProtectedHeader({ alg: 'ES256', kid: 'one' })
      .sign(forged ? stranger.privateKey : good.privateKey);
  return {
    issuer,
    jwksUrl: `${issuer}/certs`,
    token: ({ subject, sid = `sid-${subject}`, acr = 2, claims = {}, lifeS = 300, forged = false }) =>
      sign(
        {
          iss: issuer,
          aud: apiAudience,
          azp: webClientId,
          typ: 'Bearer',
          sub: subject,
          sid,
          acr: String(acr),
          auth_time: nowS(),
          iat: nowS(),
          exp: nowS() + lifeS,
          preferred_username: subject,
          name: `Person ${subject}`,
          email: `${subject}@example.test`,
          locale: 'fr',
          ...claims,
        },
        forged,
      ),
    logoutToken: (claims) =>
      sign({
        iss: issuer,
        aud: webClientId,
        iat: nowS(),
        exp: nowS() + 60,
        jti: String(Math.random()),
        events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
        ...claims,
      }),
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
