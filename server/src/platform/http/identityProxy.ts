import httpProxy from '@fastify/http-proxy';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { AppError } from '../errors.ts';

interface IdentityProxyOptions {
  /** Where Keycloak answers, with its own path, e.g. http://127.0.0.1:8080/idp. */
  readonly upstreamUrl: string;
  readonly publicUrl: string;
  readonly realm: string;
}

const prefix = '/idp';

/**
 * Only the sign-in pages and protocol endpoints of our realm are reachable from outside; the console, the admin API,
 * the master realm and client registration are not. An encoded, doubled or dotted path is refused, never interpreted.
 */
export function isReachable(path: string, realm: string): boolean {
  if (!/^\/[A-Za-z0-9._~@/-]*$/.test(path) || /\/\/|\/\.{1,2}(\/|$)/.test(path)) return false;
  if (path.startsWith('/resources/')) return true;
  const inRealm = `/realms/${realm}/`;
  if (!path.startsWith(inRealm)) return false;
  const rest = path.slice(inRealm.length);
  return !/^(clients-registrations|clients-managements|console|admin)(\/|$)/i.test(rest);
}

/** Serves Keycloak on our own origin under /idp. */
export async function installIdentityProxy(
  app: FastifyInstance,
  options: IdentityProxyOptions,
): Promise<void> {
  const upstream = new URL(options.upstreamUrl);
  const publicUrl = new URL(options.publicUrl);
  const path = upstream.pathname.replace(/\/$/, '');
  await app.register(httpProxy, {
    upstream: upstream.origin,
    prefix,
    rewritePrefix: path,
    http2: false,
    disableRequestLogging: true,
    preHandler: (request, _reply, done) => {
      const asked = (request.raw.url ?? '').split('?', 1)[0]?.slice(prefix.length) ?? '';
      done(isReachable(asked, options.realm) ? undefined : new AppError('not_found'));
    },
    replyOptions: {
      rewriteRequestHeaders: (request, headers) => {
        // What the caller says about itself is dropped: Keycloak believes these headers because we write them.
        const kept = Object.entries(headers).filter(
          ([name]) => !/^(forwarded|x-forwarded-.*|x-real-ip)$/i.test(name),
        );
        return {
          ...Object.fromEntries(kept),
          'x-forwarded-for': (request as unknown as FastifyRequest).ip,
          'x-forwarded-proto': publicUrl.protocol.slice(0, -1),
          'x-forwarded-host': publicUrl.host,
          'x-forwarded-port':
            publicUrl.port === '' ? (publicUrl.protocol === 'https:' ? '443' : '80') : publicUrl.port,
        };
      },
      onError: (reply) => {
        (reply as { send: (error: Error) => void }).send(
          new AppError('identity_provider_unavailable', { retryAfterS: 5 }),
        );
      },
    },
  });
}
