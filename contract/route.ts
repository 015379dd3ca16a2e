import { Type, type Static, type TSchema } from 'typebox';
import type { Permission } from '#contract/access.ts';
import type { AuditAction } from '#contract/audit.ts';
import type { ErrorCode } from '#contract/errors.ts';
import { Count, OrNull, Strict } from '#contract/schema.ts';

/**
 * One route as data: validation, OpenAPI, server binding, web client, CLI, permission and audit coverage all come from it.
 * `path` uses `:name` parameters; a path with `:tenantId` is refused as 404 to callers who are no members of that tenant.
 */
export interface RouteSpec {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  /** `public`: nobody need sign in. `authenticated`: anybody signed in. Otherwise the one permission that is needed. */
  readonly permission: Permission | 'public' | 'authenticated';
  /** The entry written in the same transaction; null only for routes that change nothing. */
  readonly audit: AuditAction | null;
  readonly summary: string;
  readonly params?: TSchema;
  readonly query?: TSchema;
  readonly body?: TSchema;
  readonly response: TSchema;
  /** Status of success; 200 when absent. */
  readonly status?: 200 | 201 | 202 | 204;
  /** Least authentication context: 2 (second factor) when absent; 3 (one shown within five minutes) gives lasting rights. */
  readonly acr?: 2 | 3;
  /** The caller must send If-Match with the version that was read; 428 without, 412 when it is old. */
  readonly ifMatch?: boolean;
  /** Answers are bytes of this media type instead of JSON. */
  readonly produces?: string;
  /** The path parameter that is itself the credential of a public route: calls with the same one are counted against each other. */
  readonly capability?: string;
  /** Errors beyond those that every route can give. */
  readonly errors?: readonly ErrorCode[];
}

/** Keeps the literal types of a route's members. */
export const defineRoute = <const R extends RouteSpec>(route: R): R => route;

/** A page of a list: `nextCursor` is opaque, null at the end. `total` counts everything that matches. */
export const Page = <T extends TSchema>(item: T) =>
  Strict({ items: Type.Array(item), nextCursor: OrNull(Type.String()), total: OrNull(Count) });

/** Query members of every list. */
export const pageQuery = {
  cursor: Type.Optional(Type.String({ maxLength: 500, pattern: '^[A-Za-z0-9_-]+$' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 50 })),
} as const;

/** Nothing to say (status 204). */
export const NoContent = Type.Null();

type StaticOf<S> = S extends TSchema ? Static<S> : undefined;
/** What a handler gets and gives, by route. */
export type RouteParams<R extends RouteSpec> = StaticOf<R['params']>;
export type RouteQuery<R extends RouteSpec> = StaticOf<R['query']>;
export type RouteBody<R extends RouteSpec> = StaticOf<R['body']>;
export type RouteResponse<R extends RouteSpec> = Static<R['response']>;
