import type { RouteBody, RouteParams, RouteQuery, RouteResponse, RouteSpec } from '#contract/route.ts';
import type { Caller } from './caller.ts';

/** What a handler gets: everything is validated, the caller is entitled, the tenant is one of the caller's. */
export interface Call<R extends RouteSpec> {
  readonly params: RouteParams<R>;
  readonly query: RouteQuery<R>;
  readonly body: RouteBody<R>;
  readonly caller: R['permission'] extends 'public' ? Caller | null : Caller;
  /** The version that the caller has read, from If-Match; 0 on routes that ask for none. */
  readonly version: number;
  readonly requestId: string;
  readonly ip: string;
}

/** Bytes for routes that say `produces`. */
type Answer<R extends RouteSpec> = R extends { readonly produces: string }
  ? Uint8Array | string
  : RouteResponse<R>;
export type Handler<R extends RouteSpec> = (call: Call<R>) => Promise<Answer<R>>;

/**
 * Handlers of a feature, keyed by the contract's route names. An answer with an integer `version` gets it as its ETag.
 * The binding refuses to start when a route of the contract has no handler or has two.
 */
export type RouteHandlers<
  Routes extends Record<string, RouteSpec>,
  Names extends keyof Routes = keyof Routes,
> = {
  readonly [Name in Names]: Handler<Routes[Name]>;
};
