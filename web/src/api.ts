import type { RouteBody, RouteParams, RouteQuery, RouteResponse } from '#contract/route.ts';
import type { RouteName, Routes } from '#contract/routes.ts';
import { ApiError, readProblem } from './problem.ts';
import { buildUrl } from './request.ts';

type Given<Key extends string, Value> = Value extends undefined ? object : Record<Key, Value>;

/** What a call needs, by route: parameters, query, body, and the version when the route asks for If-Match. */
export type CallInput<Name extends RouteName> = Given<'params', RouteParams<Routes[Name]>> &
  (RouteQuery<Routes[Name]> extends undefined ? object : { query?: Partial<RouteQuery<Routes[Name]>> }) &
  Given<'body', RouteBody<Routes[Name]>> &
  (Routes[Name] extends { ifMatch: true } ? { version: number } : object) & { signal?: AbortSignal };

export type CallOutput<Name extends RouteName> = RouteResponse<Routes[Name]>;

interface AnyInput {
  params?: Record<string, string | number>;
  query?: Record<string, string | number | undefined>;
  body?: unknown;
  version?: number;
  signal?: AbortSignal;
}

/** Hands out a token that is good for at least some seconds, or null when nobody is signed in. */
type TokenSource = () => Promise<string | null>;
let tokenSource: TokenSource = () => Promise.resolve(null);
let onUnauthenticated: (error: ApiError) => void = () => undefined;

/** Called once by the session: how to get a token, and what to do when the server wants a new sign-in. */
export function connectApi(source: TokenSource, unauthenticated: (error: ApiError) => void): void {
  tokenSource = source;
  onUnauthenticated = unauthenticated;
}

/** The permission that a route asks for. */
export function permissionOf(name: RouteName): string {
  return __ATLAS_ROUTES__[name].permission;
}

async function send(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause;
    throw new ApiError('network', { cause });
  }
}

function buildInit(method: string, input: AnyInput, token: string | null): RequestInit {
  const headers = new Headers({ accept: 'application/json' });
  if (token !== null) headers.set('authorization', `Bearer ${token}`);
  if (input.version !== undefined) headers.set('if-match', `"${input.version}"`);
  const init: RequestInit = { method, headers, credentials: 'same-origin', cache: 'no-store' };
  if (input.body !== undefined) {
    headers.set('content-type', 'application/json');
    init.body = JSON.stringify(input.body);
  }
  if (input.signal !== undefined) init.signal = input.signal;
  return init;
}

/** Calls a route of the contract; throws ApiError on any refusal. */
export async function call<Name extends RouteName>(
  name: Name,
  ...[input]: object extends CallInput<Name> ? [CallInput<Name>?] : [CallInput<Name>]
): Promise<CallOutput<Name>> {
  const line = __ATLAS_ROUTES__[name];
  const given = (input ?? {}) as AnyInput;
  const token = line.permission === 'public' ? null : await tokenSource();
  const url = buildUrl(line, given.params, given.query);
  const response = await send(url, buildInit(line.method, given, token));
  if (!response.ok) {
    const error = await readProblem(response);
    if (error.status === 401) onUnauthenticated(error);
    throw error;
  }
  if (response.status === 204) return null as CallOutput<Name>;
  if (line.produces !== undefined) return (await response.text()) as CallOutput<Name>;
  return (await response.json()) as CallOutput<Name>;
}
