import type { FastifyInstance } from 'fastify';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import * as people from './people.repository.ts';
import type { TokenVerifier } from './tokens.verifier.ts';

interface LogoutDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly clock: Clock;
  readonly tokens: TokenVerifier;
  readonly forget: () => void;
}

/** Where Keycloak says that a session has ended. Not in the contract: only the identity provider calls it, with a signed token. */
export const backChannelLogoutPath = '/api/back-channel-logout';
const sessionLifeMs = 12 * 3_600_000;

async function recordSignOut(
  deps: LogoutDeps,
  ended: { sid: string | null; subject: string | null },
): Promise<void> {
  await deps.db.inSystem('access.endSessions', async (tx) => {
    const subjects = await people.revokeSessions(tx, {
      ...ended,
      expiresAt: new Date(deps.clock.now() + sessionLifeMs),
    });
    for (const subject of subjects) {
      const person = await people.findPerson(tx, subject);
      if (person === null) continue;
      const memberships = await people.listMemberships(tx, person.id);
      await deps.audit.recordMany(
        tx,
        memberships.map(({ tenantId }) => ({
          tenantId,
          action: 'person.signed_out' as const,
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
  });
}

/** OpenID Connect Back-Channel Logout 1.0: the session's tokens are refused from now on, although they have not expired. */
export function backChannelLogout(deps: LogoutDeps): (app: FastifyInstance) => Promise<void> {
  return (app) => {
    app.removeAllContentTypeParsers();
    app.addContentTypeParser(
      'application/x-www-form-urlencoded',
      { parseAs: 'string', bodyLimit: 16_384 },
      (_request, body, done) => done(null, new URLSearchParams(body as string)),
    );
    app.post(backChannelLogoutPath, async (request, reply) => {
      const token = request.body instanceof URLSearchParams ? request.body.get('logout_token') : null;
      if (token === null) throw new AppError('invalid_request', { detail: 'logout_token is missing' });
      const ended = await deps.tokens.verifyLogout(token);
      await recordSignOut(deps, ended);
      deps.forget();
      return reply.code(200).header('cache-control', 'no-store').send();
    });
    return Promise.resolve();
  };
}
