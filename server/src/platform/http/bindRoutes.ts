import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { RouteSpec } from '#contract/route.ts';
import type { Clock } from '../clock.ts';
import { AppError, invariant } from '../errors.ts';
import { isUuid } from '../ids.ts';
import { isAllowed, membershipOf, type Authenticate, type Caller } from './caller.ts';
import type { Handler } from './handlers.ts';
import { compileChecks, type RequestChecks } from './validation.ts';

export interface BindOptions {
  readonly routes: Readonly<Record<string, RouteSpec>>;
  /** Handlers of all features together. */
  readonly handlers: Readonly<Record<string, unknown>>;
  readonly authenticate: Authenticate;
  readonly clock: Clock;
  /** Counts the request against the caller's allowance; throws rate_limited. */
  readonly limit: (request: FastifyRequest, caller: Caller) => Promise<void>;
  /** Counts a call with a credential that is part of the address; throws rate_limited. */
  readonly limitCapability: (request: FastifyRequest, secret: string) => Promise<void>;
  /** Refuses to send an answer that its own schema does not allow: on in tests and development. */
  readonly checkResponses: boolean;
}

type AnyHandler = Handler<RouteSpec>;

// A step-up older than this no longer shows that the person is at the keyboard now.
const stepUpAgeMs = 300_000;
const clockSkewMs = 5_000;

function requireContext(caller: Caller, route: RouteSpec, nowMs: number): void {
  const needed = route.acr ?? 2;
  if (caller.acr < needed) throw new AppError('step_up_required');
  if (needed < 3) return;
  const ageMs = nowMs - (caller.authenticatedAtMs ?? 0);
  if (ageMs > stepUpAgeMs || ageMs < -clockSkewMs) throw new AppError('step_up_required');
}

/**
 * The one gate. A tenant that is not the caller's does not exist for the caller: 404 before any talk of permission,
 * so that nobody learns which identifiers are real.
 */
function authorise(caller: Caller, route: RouteSpec, tenantId: string | null): void {
  if (tenantId !== null && membershipOf(caller, tenantId) === undefined) throw new AppError('not_found');
  if (route.permission === 'public' || route.permission === 'authenticated') return;
  if (!isAllowed(caller, route.permission, tenantId)) throw new AppError('forbidden');
}

function readVersion(request: FastifyRequest, route: RouteSpec): number {
  if (route.ifMatch !== true) return 0;
  const header = request.headers['if-match'];
  if (header === undefined) throw new AppError('precondition_required');
  const version = /^"(\d{1,9})"$/.exec(header)?.[1];
  // Weak tags and lists never match strongly (RFC 9110, section 13.1.1).
  if (version === undefined) throw new AppError('precondition_failed');
  return Number(version);
}

function tenantOf(request: FastifyRequest, route: RouteSpec): string | null {
  if (!route.path.includes('/:tenantId')) return null;
  const { tenantId } = request.params as { tenantId?: string };
  if (tenantId === undefined || !isUuid(tenantId)) throw new AppError('not_found');
  return tenantId;
}

function send(reply: FastifyReply, route: RouteSpec, answer: unknown): unknown {
  reply.code(route.status ?? 200).header('cache-control', 'no-store');
  if (route.produces !== undefined) return reply.type(route.produces).send(answer);
  if (route.status === 204) return reply.send();
  const { version } = (answer ?? {}) as { version?: unknown };
  if (Number.isInteger(version)) reply.header('etag', `"${String(version)}"`);
  return reply.type('application/json; charset=utf-8').send(JSON.stringify(answer));
}

function bindRoute(
  app: FastifyInstance,
  named: { name: string; route: RouteSpec; run: AnyHandler },
  options: BindOptions,
): void {
  const { name, route, run } = named;
  const checks: RequestChecks = compileChecks(route);
  const callers = new WeakMap<FastifyRequest, Caller>();
  app.route({
    method: route.method,
    url: route.path,
    config: { routeName: name },
    onRequest: async (request) => {
      if (route.capability !== undefined)
        await options.limitCapability(
          request,
          (request.params as Record<string, string>)[route.capability] ?? '',
        );
      if (route.permission === 'public') return;
      const caller = await options.authenticate({ authorization: request.headers.authorization });
      callers.set(request, caller);
      await options.limit(request, caller);
      authorise(caller, route, tenantOf(request, route));
      requireContext(caller, route, options.clock.now());
    },
    handler: async (request, reply) => {
      const caller = callers.get(request) ?? null;
      invariant(caller !== null || route.permission === 'public', `${name} was reached without a caller`);
      // The router takes "/things/" for a thing without a name.
      if (Object.values(request.params as Record<string, string>).includes(''))
        throw new AppError('not_found');
      const answer = await run({
        params: checks.params(request.params),
        query: checks.query(request.query),
        body: checks.body(request.body),
        version: readVersion(request, route),
        caller: caller as Caller,
        requestId: request.id,
        ip: request.ip,
      });
      if (options.checkResponses && route.produces === undefined && route.status !== 204) {
        const wrong = checks.response(answer);
        invariant(
          wrong.length === 0,
          `${name} answers what its schema does not allow: ${JSON.stringify(wrong)}`,
        );
      }
      return send(reply, route, answer);
    },
  });
}

/** Paths as expressions, so that a known path with another method is told from an unknown one. */
function methodsByPath(routes: BindOptions['routes']): { pattern: RegExp; methods: string[] }[] {
  const byPath = new Map<string, string[]>();
  for (const { path, method } of Object.values(routes))
    byPath.set(path, [...(byPath.get(path) ?? []), method]);
  return [...byPath].map(([path, methods]) => ({
    pattern: new RegExp(`^${path.replaceAll('.', '\\.').replace(/:\w+/g, '[^/]+').replace(/\*$/, '.*')}$`),
    methods,
  }));
}

/** Allowed methods of a path that the contract knows; null for any other path. */
export function allowedMethods(routes: BindOptions['routes']): (path: string) => string[] | null {
  const known = methodsByPath(routes);
  return (path) => {
    const methods = known.filter(({ pattern }) => pattern.test(path)).flatMap((entry) => entry.methods);
    return methods.length === 0 ? null : methods;
  };
}

/** Binds every route of the contract; throws at start when one has no handler or a handler has no route. */
export function bindRoutes(app: FastifyInstance, options: BindOptions): void {
  const orphans = Object.keys(options.handlers).filter((name) => !(name in options.routes));
  invariant(orphans.length === 0, `handlers without a route: ${orphans.join(', ')}`);
  const missing = Object.keys(options.routes).filter((name) => typeof options.handlers[name] !== 'function');
  invariant(missing.length === 0, `routes without a handler: ${missing.join(', ')}`);
  for (const [name, route] of Object.entries(options.routes)) {
    bindRoute(app, { name, route, run: options.handlers[name] as AnyHandler }, options);
  }
}
