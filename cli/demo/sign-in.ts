import { hash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { totp } from './totp.ts';

/** An account as the demo made it; its second factor is known because the demo made that too. */
export interface DemoAccount {
  readonly username: string;
  readonly password: string;
  /** Raw TOTP key. */
  readonly totpSecret: Buffer;
}

interface Tokens {
  readonly access_token: string;
  readonly refresh_token: string;
  readonly expires_in: number;
}

export interface SignInOptions {
  /** Public origin; the identity provider is under /idp of it. */
  readonly baseUrl: string;
  readonly realm: string;
  readonly clientId: string;
  /** Authentication level to reach: 3 shows the second factor once more, for what gives lasting rights. 2 when absent. */
  readonly level?: 2 | 3;
}

/** Keeps the cookies of one sign-in, as a browser would. */
class CookieJar {
  readonly #cookies = new Map<string, string>();

  take(response: Response): void {
    for (const line of response.headers.getSetCookie()) {
      const [pair = ''] = line.split(';');
      const at = pair.indexOf('=');
      this.#cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
  }

  header(): string {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }
}

function formAction(page: string, field: string): string {
  const action = /<form[^>]*\saction="([^"]+)"/.exec(page)?.[1];
  if (action === undefined || !page.includes(`name="${field}"`)) {
    const said = /class="[^"]*(?:alert|error)[^"]*"[^>]*>([^<]+)/.exec(page)?.[1]?.trim();
    throw new Error(`the sign-in page does not ask for "${field}"${said === undefined ? '' : `: ${said}`}`);
  }
  return action.replaceAll('&amp;', '&');
}

/** The one-time password after `used`: a code opens one door once. */
async function nextCode(totpSecret: Buffer, used: string): Promise<string> {
  for (;;) {
    const code = totp(totpSecret, Date.now());
    if (code !== used) return code;
    await sleep(500);
  }
}

/** Walks the real sign-in pages like a person with a browser: password, then one-time password, then PKCE. */
export async function signIn(options: SignInOptions, account: DemoAccount): Promise<Tokens> {
  const jar = new CookieJar();
  const verifier = randomBytes(32).toString('base64url');
  const redirectUri = `${options.baseUrl}/`;
  const realmUrl = `${options.baseUrl}/idp/realms/${options.realm}/protocol/openid-connect`;
  const query = new URLSearchParams({
    client_id: options.clientId,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: 'openid',
    state: randomBytes(8).toString('hex'),
    code_challenge: hash('sha256', verifier, 'base64url'),
    code_challenge_method: 'S256',
    acr_values: String(options.level ?? 2),
  });
  const visit = async (url: string, form?: Record<string, string>): Promise<Response> => {
    const response = await fetch(new URL(url, options.baseUrl), {
      redirect: 'manual',
      headers: { cookie: jar.header(), 'accept-language': 'fr' },
      ...(form === undefined ? {} : { method: 'POST', body: new URLSearchParams(form) }),
    });
    jar.take(response);
    return response;
  };
  const first = await (await visit(`${realmUrl}/auth?${query.toString()}`)).text();
  const { username, password, totpSecret } = account;
  const second = await (
    await visit(formAction(first, 'username'), { username, password, credentialId: '' })
  ).text();
  let code = totp(totpSecret, Date.now());
  let done = await visit(formAction(second, 'otp'), { otp: code });
  if (options.level === 3) {
    code = await nextCode(totpSecret, code);
    done = await visit(formAction(await done.text(), 'otp'), { otp: code });
  }
  const location = done.headers.get('location');
  if (location === null)
    throw new Error(`the sign-in of ${username} was refused after the one-time password`);
  const granted = new URL(location, options.baseUrl).searchParams.get('code');
  if (granted === null) throw new Error(`the sign-in of ${username} ended without a code: ${location}`);
  return requestTokens(realmUrl, {
    grant_type: 'authorization_code',
    client_id: options.clientId,
    redirect_uri: redirectUri,
    code: granted,
    code_verifier: verifier,
  });
}

async function requestTokens(realmUrl: string, form: Record<string, string>): Promise<Tokens> {
  const response = await fetch(`${realmUrl}/token`, { method: 'POST', body: new URLSearchParams(form) });
  if (!response.ok)
    throw new Error(`the identity provider gave no token: ${response.status} ${await response.text()}`);
  return (await response.json()) as Tokens;
}

/** A signed-in session that renews its short-lived token by itself. */
export async function openSession(
  options: SignInOptions,
  account: DemoAccount,
): Promise<() => Promise<string>> {
  let tokens = await signIn(options, account);
  let expiresAtMs = Date.now() + tokens.expires_in * 1000;
  const realmUrl = `${options.baseUrl}/idp/realms/${options.realm}/protocol/openid-connect`;
  const marginMs = 30_000;
  return async () => {
    if (Date.now() < expiresAtMs - marginMs) return tokens.access_token;
    tokens = await requestTokens(realmUrl, {
      grant_type: 'refresh_token',
      client_id: options.clientId,
      refresh_token: tokens.refresh_token,
    });
    expiresAtMs = Date.now() + tokens.expires_in * 1000;
    return tokens.access_token;
  };
}
