import { createHash } from 'node:crypto';
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import underPressure from '@fastify/under-pressure';
import fastify, { LogController, type FastifyInstance, type FastifyRequest } from 'fastify';
import type { RouteSpec } from '#contract/route.ts';
import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import { newId } from '../ids.ts';
import type { Logger } from '../log.ts';
import type { DatabaseReport } from '../primary/primary.policy.ts';
import type { Redis } from '../redis.ts';
import { allowedMethods, bindRoutes } from './bindRoutes.ts';
import type { Authenticate, Caller } from './caller.ts';
import { installIdentityProxy } from './identityProxy.ts';
import { measureRequests, type Metrics } from './metrics.ts';
import { openApiDocument } from './openapi.ts';
import { installProblems } from './problems.ts';
import { installWebFiles } from './webFiles.ts';

interface Limits {
  readonly perCallerAMinute: number;
  readonly perAddressAMinute: number;
  /** Calls with one credential that is part of an address. */
  readonly perCapabilityAMinute: number;
  /** Requests are refused as overloaded while the event loop is later than this; 0: never. */
  readonly maxEventLoopDelayMs: number;
}

export interface PeopleServerOptions {
  readonly routes: Readonly<Record<string, RouteSpec>>;
  readonly handlers: Readonly<Record<string, unknown>>;
  readonly authenticate: Authenticate;
  readonly clock: Clock;
  readonly log: Logger;
  readonly redis: Redis;
  readonly metrics: Metrics;
  readonly version: string;
  readonly publicUrl: string;
  readonly webDirectory: string;
  readonly identity: { readonly upstreamUrl: string; readonly realm: string };
  /** Throws when a service that requests need is away. */
  readonly ready: () => Promise<void>;
  /** How the addresses of the database stand; null when there is only one. */
  readonly database: () => DatabaseReport | null;
  /** What features add beside the contract's routes: the WebSocket, the logout endpoint. */
  readonly extend: readonly ((app: FastifyInstance) => Promise<void>)[];
  readonly checkResponses?: boolean;
  readonly limits?: Limits;
}

const bodyLimitBytes = 1_048_576;
const defaultLimits: Limits = {
  perCallerAMinute: 1_200,
  perAddressAMinute: 6_000,
  perCapabilityAMinute: 30,
  maxEventLoopDelayMs: 2_000,
};

function contentSecurity(publicUrl: string): Parameters<typeof helmet>[1] {
  const secure = publicUrl.startsWith('https:');
  return {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'", 'data:'],
        fontSrc: ["'self'"],
        connectSrc: ["'self'"],
        workerSrc: ["'self'"],
        manifestSrc: ["'self'"],
        baseUri: ["'none'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
      },
    },
    frameguard: { action: 'deny' },
    referrerPolicy: { policy: 'no-referrer' },
    strictTransportSecurity: secure ? { maxAge: 31_536_000 } : false,
    crossOriginEmbedderPolicy: false,
  };
}

/** Only JSON, only when it says so exactly; the parser refuses `__proto__` and `constructor` members. */
function acceptJsonOnly(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'string', bodyLimit: bodyLimitBytes },
    (request, body, done) => {
      const type = request.headers['content-type'] ?? '';
      if (!/^application\/json(; ?charset=utf-8)?$/i.test(type)) {
        done(new AppError('unsupported_media_type'));
        return;
      }
      void parse(request, body as string, done);
    },
  );
}

interface Limiters {
  readonly byAddress: (request: FastifyRequest) => Promise<void>;
  readonly byCaller: (request: FastifyRequest, caller: Caller) => Promise<void>;
  readonly byCapability: (request: FastifyRequest, secret: string) => Promise<void>;
}

async function installLimits(app: FastifyInstance, options: PeopleServerOptions): Promise<Limiters> {
  const limits = options.limits ?? defaultLimits;
  await app.register(rateLimit, {
    global: false,
    timeWindow: 60_000,
    redis: options.redis,
    nameSpace: 'atlas:rate:',
    // A lost Redis must not lock people out; the audit and the releases do not depend on this limit.
    skipOnError: true,
  });
  const callers = new WeakMap<FastifyRequest, Caller>();
  const address = app.createRateLimit({
    max: limits.perAddressAMinute,
    keyGenerator: (request) => `ip:${request.ip}`,
  });
  const caller = app.createRateLimit({
    max: limits.perCallerAMinute,
    keyGenerator: (request) => `caller:${callers.get(request)?.id ?? request.ip}`,
  });
  const secrets = new WeakMap<FastifyRequest, string>();
  const capability = app.createRateLimit({
    max: limits.perCapabilityAMinute,
    // The store keeps names, and a name must open nothing.
    keyGenerator: (request) =>
      `capability:${createHash('sha256')
        .update(secrets.get(request) ?? '')
        .digest('base64url')}`,
  });
  const refuse = (limit: Awaited<ReturnType<typeof address>>): void => {
    if (!limit.isAllowed && limit.isExceeded)
      throw new AppError('rate_limited', { retryAfterS: limit.ttlInSeconds });
  };
  return {
    byAddress: async (request) => refuse(await address(request)),
    byCaller: async (request, who) => {
      callers.set(request, who);
      refuse(await caller(request));
    },
    byCapability: async (request, secret) => {
      secrets.set(request, secret);
      refuse(await capability(request));
    },
  };
}

function installHealth(
  app: FastifyInstance,
  { ready, database }: Pick<PeopleServerOptions, 'ready' | 'database'>,
): void {
  app.get('/healthz', () => ({ status: 'alive' }));
  app.get('/readyz', async () => {
    try {
      await ready();
    } catch (error) {
      const warnings = database()?.warnings ?? [];
      throw new AppError('overloaded', {
        detail: ['a service that requests need is away', ...warnings].join(', '),
        cause: error,
        retryAfterS: 2,
      });
    }
    return { status: 'ready', ...databaseHealth(database()) };
  });
}

/** Figures and codes only: who asks here has not signed in, and need not know any address. */
function databaseHealth(report: DatabaseReport | null): object {
  if (report === null) return {};
  const standbys = report.addresses.filter(({ role }) => role === 'follows');
  return {
    database: {
      standbys: report.addresses.length - 1,
      following: standbys.length,
      behindBytes: Math.max(0, ...standbys.map(({ behindBytes }) => behindBytes ?? 0)),
      warnings: report.warnings,
    },
  };
}

/** The listener for people: API, live events, sign-in pages and the application, on one origin. */
export async function createPeopleServer(options: PeopleServerOptions): Promise<FastifyInstance> {
  const app = fastify({
    loggerInstance: options.log,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => newId(),
    requestIdHeader: false,
    trustProxy: false,
    bodyLimit: bodyLimitBytes,
    requestTimeout: 30_000,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: false,
    routerOptions: {
      caseSensitive: true,
      ignoreTrailingSlash: false,
      ignoreDuplicateSlashes: false,
      maxParamLength: 200,
    },
  }) as unknown as FastifyInstance;
  installProblems(app);
  measureRequests(app, options.metrics);
  await app.register(helmet, contentSecurity(options.publicUrl));
  const { maxEventLoopDelayMs } = options.limits ?? defaultLimits;
  await app.register(underPressure, {
    maxEventLoopDelay: maxEventLoopDelayMs,
    retryAfter: 5,
    exposeStatusRoute: false,
  });
  const limiters = await installLimits(app, options);
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    await limiters.byAddress(request);
  });
  installHealth(app, options);
  await installIdentityProxy(app, { ...options.identity, publicUrl: options.publicUrl });
  await app.register(async (api) => {
    acceptJsonOnly(api);
    bindRoutes(api, {
      routes: options.routes,
      handlers: options.handlers,
      authenticate: options.authenticate,
      clock: options.clock,
      limit: limiters.byCaller,
      limitCapability: limiters.byCapability,
      checkResponses: options.checkResponses ?? false,
    });
    const document = openApiDocument({ routes: options.routes, version: options.version });
    api.get('/api/openapi.json', (_request, reply) =>
      reply.type('application/json').send(JSON.stringify(document)),
    );
  });
  for (const extend of options.extend) await app.register(extend);
  await installWebFiles(app, {
    directory: options.webDirectory,
    allowedMethods: allowedMethods(options.routes),
  });
  return app;
}
