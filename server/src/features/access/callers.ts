import { createHash, timingSafeEqual } from 'node:crypto';
import { rolePermissions, type Permission } from '#contract/access.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import type { Caller } from '../../platform/http/caller.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Logger } from '../../platform/log.ts';
import { findUsableKey, noteUse } from './apiKeys.repository.ts';
import * as people from './people.repository.ts';
import type { PersonRow } from './people.repository.ts';
import type { TokenClaims, TokenVerifier } from './tokens.verifier.ts';

export interface CallersDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly log: Logger;
  readonly tokens: TokenVerifier;
}

// A revoked membership, session or key stops acting within 5 s, in every process.
const rememberMs = 3_000;
const rememberedCallers = 10_000;
// Keycloak's longest session; no token of a session outlives it.
const sessionLifeMs = 12 * 3_600_000;
const keyPattern = /^atlas_([0-9a-f-]{36})_([A-Za-z0-9_-]{43})$/;

export function secretDigest(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

function permissionsOf(roles: readonly (keyof typeof rolePermissions)[]): Set<Permission> {
  return new Set(roles.flatMap((role) => rolePermissions[role]));
}

interface Remembered {
  readonly caller: Promise<Caller>;
  readonly untilMs: number;
}

/** Turns a credential into a caller: once every few seconds from the database, in between from memory. */
export class Callers {
  readonly #deps: CallersDeps;
  readonly #remembered = new Map<string, Remembered>();

  constructor(deps: CallersDeps) {
    this.#deps = deps;
  }

  readonly authenticate = async (credentials: {
    readonly authorization: string | undefined;
  }): Promise<Caller> => {
    const token = /^Bearer ([A-Za-z0-9._~+/=-]{1,8192})$/.exec(credentials.authorization ?? '')?.[1];
    if (token === undefined) throw new AppError('unauthenticated');
    const key = keyPattern.exec(token);
    if (key !== null) {
      const [, id = '', secret = ''] = key;
      const digest = secretDigest(secret);
      return this.#remember(`key:${id}:${digest.toString('base64')}`, () => this.#loadKey(id, digest));
    }
    const claims = await this.#deps.tokens.verify(token);
    const caller = await this.#remember(`person:${claims.subject}:${claims.sid}`, () =>
      this.#loadPerson(claims),
    );
    // A new token of the same session may say more or less than the one that was remembered.
    return { ...caller, acr: claims.acr, authenticatedAtMs: claims.authenticatedAtMs };
  };

  /** Forgets everything remembered: cheap, and right whoever changed. A process that nobody told forgets within seconds. */
  readonly forget = (): void => this.#remembered.clear();

  #remember(key: string, load: () => Promise<Caller>): Promise<Caller> {
    const nowMs = this.#deps.clock.now();
    const known = this.#remembered.get(key);
    if (known !== undefined && known.untilMs > nowMs) return known.caller;
    if (this.#remembered.size >= rememberedCallers) this.#remembered.clear();
    const caller = load();
    const entry = { caller, untilMs: nowMs + rememberMs };
    this.#remembered.set(key, entry);
    caller.catch(() => {
      if (this.#remembered.get(key) === entry) this.#remembered.delete(key);
    });
    return caller;
  }

  async #loadKey(id: string, digest: Buffer): Promise<Caller> {
    const key = await this.#deps.db.inSystem('access.findKey', async (tx) => {
      const usable = await findUsableKey(tx, id);
      // An unknown key is compared too, so that time does not tell which identifiers exist.
      const same = timingSafeEqual(usable?.secretSha256 ?? secretDigest(''), digest);
      if (usable === null || !same) return null;
      await noteUse(tx, id);
      return usable;
    });
    if (key === null) throw new AppError('unauthenticated');
    const { tenantId, tenantName, tenantColour } = key;
    return {
      kind: 'apiKey',
      id: key.id,
      name: key.name,
      email: null,
      locale: 'fr',
      acr: 2,
      authenticatedAtMs: null,
      platformAdmin: false,
      platformPermissions: new Set(),
      memberships: [{ tenantId, tenantName, tenantColour, roles: [], permissions: new Set(key.scopes) }],
    };
  }

  async #loadPerson(claims: TokenClaims): Promise<Caller> {
    const { db, clock, newId } = this.#deps;
    const loaded = await db.inSystem('access.loadCaller', async (tx) => {
      const expiresAt = new Date(clock.now() + sessionLifeMs);
      const session = await people.seeSession(tx, { sid: claims.sid, subject: claims.subject, expiresAt });
      if (session === 'revoked') return null;
      const present = session === 'new' ? null : await people.findPerson(tx, claims.subject);
      const person = present ?? (await people.upsertPerson(tx, newId(), claims));
      const memberships = await people.listMemberships(tx, person.id);
      if (session === 'new') await this.#recordSignIn(tx, person, memberships);
      return { person, memberships };
    });
    if (loaded === null) throw new AppError('unauthenticated', { detail: 'the session has ended' });
    const { person, memberships } = loaded;
    if (person.disabled) throw new AppError('unauthenticated', { detail: 'the account is disabled' });
    return {
      kind: 'person',
      id: person.id,
      name: person.name,
      email: person.email,
      locale: person.locale,
      acr: claims.acr,
      authenticatedAtMs: claims.authenticatedAtMs,
      platformAdmin: person.platformAdmin,
      platformPermissions: person.platformAdmin ? permissionsOf(['platform_admin']) : new Set(),
      memberships: memberships.map((membership) => ({
        ...membership,
        permissions: permissionsOf(membership.roles),
      })),
    };
  }

  async #recordSignIn(
    tx: Parameters<AuditWriter['record']>[0],
    person: PersonRow,
    memberships: readonly people.MembershipRow[],
  ): Promise<void> {
    await this.#deps.audit.recordMany(
      tx,
      memberships.map(({ tenantId }) => ({
        tenantId,
        action: 'person.signed_in' as const,
        actorKind: 'person' as const,
        actorId: person.id,
        subjectType: 'person',
        subjectId: person.id,
        outcome: 'ok' as const,
        digest: null,
        details: {},
      })),
    );
  }
}
