import { createHash } from 'node:crypto';
import { createRemoteJWKSet, errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose';
import type { Clock } from '../../platform/clock.ts';
import { AppError } from '../../platform/errors.ts';

/** What a valid access token says. */
export interface TokenClaims {
  readonly subject: string;
  readonly sid: string;
  readonly acr: number;
  readonly authenticatedAtMs: number;
  readonly expiresAtMs: number;
  readonly username: string;
  readonly name: string;
  readonly email: string | null;
  readonly locale: 'fr' | 'en';
}

export interface TokenVerifierOptions {
  readonly issuer: string;
  /** Where the keys are read, on the inside. */
  readonly jwksUrl: string;
  readonly audience: string;
  /** Clients whose tokens are accepted (`azp`). */
  readonly clients: readonly string[];
  readonly clock: Clock;
}

export interface TokenVerifier {
  /** Throws token_expired, unauthenticated, or identity_provider_unavailable when the keys cannot be read. */
  readonly verify: (token: string) => Promise<TokenClaims>;
  /** Checks a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.6). Throws invalid_request. */
  readonly verifyLogout: (token: string) => Promise<{ sid: string | null; subject: string | null }>;
}

// Pinned: a token cannot choose how it is checked.
const algorithms = ['RS256', 'ES256'];
const longestLifeS = 310;
const clockToleranceS = 5;
const cacheSize = 5_000;
const logoutEvent = 'http://schemas.openid.net/event/backchannel-logout';

function text(payload: JWTPayload, claim: string): string | null {
  const value = payload[claim];
  return typeof value === 'string' && value !== '' ? value : null;
}

function toClaims(payload: JWTPayload, clients: readonly string[]): TokenClaims {
  const { sub, exp, iat } = payload;
  const sid = text(payload, 'sid');
  const username = text(payload, 'preferred_username');
  const authTime = payload['auth_time'];
  if (sub === undefined || exp === undefined || iat === undefined || sid === null || username === null) {
    throw new AppError('unauthenticated', { detail: 'the token misses a claim' });
  }
  // An ID token or a refresh token is not an access token, whoever signed it.
  if (payload['typ'] !== 'Bearer') throw new AppError('unauthenticated', { detail: 'not an access token' });
  if (!clients.includes(text(payload, 'azp') ?? ''))
    throw new AppError('unauthenticated', { detail: 'unknown client' });
  if (exp - iat > longestLifeS) throw new AppError('unauthenticated', { detail: 'the token lives too long' });
  const acr = /^[0-3]$/.test(text(payload, 'acr') ?? '') ? Number(payload['acr']) : 0;
  return {
    subject: sub,
    sid,
    acr,
    authenticatedAtMs: typeof authTime === 'number' ? authTime * 1000 : 0,
    expiresAtMs: exp * 1000,
    username,
    name: (text(payload, 'name') ?? username).slice(0, 200),
    email: text(payload, 'email'),
    locale: text(payload, 'locale')?.startsWith('en') === true ? 'en' : 'fr',
  };
}

function refusal(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof errors.JWTExpired) return new AppError('token_expired', { cause: error });
  if (error instanceof errors.JWKSTimeout || !(error instanceof errors.JOSEError)) {
    return new AppError('identity_provider_unavailable', { cause: error, retryAfterS: 5 });
  }
  return new AppError('unauthenticated', { cause: error });
}

/** Remembers verified tokens until they expire: checking a signature costs more than all the rest of a small request. */
class VerifiedTokens {
  readonly #claims = new Map<string, TokenClaims>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(key: string): TokenClaims | null {
    const claims = this.#claims.get(key);
    if (claims === undefined) return null;
    if (claims.expiresAtMs > this.#clock.now()) return claims;
    this.#claims.delete(key);
    return null;
  }

  add(key: string, claims: TokenClaims): void {
    if (this.#claims.size >= cacheSize) {
      const oldest = this.#claims.keys().next().value;
      if (oldest !== undefined) this.#claims.delete(oldest);
    }
    this.#claims.set(key, claims);
  }
}

export function createTokenVerifier(options: TokenVerifierOptions): TokenVerifier {
  const keys: JWTVerifyGetKey = createRemoteJWKSet(new URL(options.jwksUrl), {
    timeoutDuration: 3_000,
    cooldownDuration: 10_000,
    cacheMaxAge: 600_000,
  });
  const verified = new VerifiedTokens(options.clock);
  const common = { issuer: options.issuer, algorithms, clockTolerance: clockToleranceS };

  const verify = async (token: string): Promise<TokenClaims> => {
    const key = createHash('sha256').update(token).digest('base64');
    const known = verified.get(key);
    if (known !== null) return known;
    try {
      const { payload } = await jwtVerify(token, keys, {
        ...common,
        audience: options.audience,
        currentDate: new Date(options.clock.now()),
      });
      const claims = toClaims(payload, options.clients);
      verified.add(key, claims);
      return claims;
    } catch (error) {
      throw refusal(error);
    }
  };

  const verifyLogout = async (token: string): Promise<{ sid: string | null; subject: string | null }> => {
    try {
      const { payload } = await jwtVerify(token, keys, {
        ...common,
        audience: [...options.clients],
        maxTokenAge: 120,
        currentDate: new Date(options.clock.now()),
      });
      const events = payload['events'];
      const isLogout = typeof events === 'object' && events !== null && logoutEvent in events;
      const sid = text(payload, 'sid');
      // A logout token never has a nonce: an ID token must not pass for one.
      if (!isLogout || 'nonce' in payload || (sid === null && payload.sub === undefined)) {
        throw new AppError('unauthenticated', { detail: 'not a logout token' });
      }
      return { sid, subject: payload.sub ?? null };
    } catch (error) {
      const refused = refusal(error);
      if (refused.code === 'identity_provider_unavailable') throw refused;
      throw new AppError('invalid_request', { detail: 'the logout token is refused', cause: error });
    }
  };

  return { verify, verifyLogout };
}
