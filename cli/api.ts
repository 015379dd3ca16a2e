import { routes } from '#contract/routes.ts';
import { patientFetch } from './patientFetch.ts';
import type { RouteName, Routes } from '#contract/routes.ts';
import type { Problem } from '#contract/errors.ts';
import type { RouteBody, RouteParams, RouteQuery, RouteResponse, RouteSpec } from '#contract/route.ts';

type Given<Name extends string, Value> = [Value] extends [undefined]
  ? { readonly [N in Name]?: never }
  : { readonly [N in Name]: Value };

/** What a call takes: exactly the parts that its route has. */
export type CallInput<R extends RouteSpec> = Given<'params', RouteParams<R>> &
  Given<'query', RouteQuery<R>> &
  Given<'body', RouteBody<R>> & { readonly ifMatch?: number };

/** The server refused: what, where and how to mend it, as RFC 9457 says it. */
export class ApiProblem extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    const fields = (problem.fields ?? []).map((field) => `${field.path}: ${field.message}`).join('; ');
    super(
      [problem.title, problem.detail, fields].filter((part) => part !== undefined && part !== '').join(' — '),
    );
    this.name = 'ApiProblem';
    this.problem = problem;
  }
}

export interface ApiOptions {
  /** Origin of the people's listener, e.g. http://localhost:8443. */
  readonly baseUrl: string;
  /** Gives a valid bearer token, or null for public routes. */
  readonly token: () => Promise<string | null>;
}

export interface Api {
  readonly call: <N extends RouteName>(
    name: N,
    input: CallInput<Routes[N]>,
  ) => Promise<RouteResponse<Routes[N]>>;
  /** Bytes of a route that does not answer JSON. */
  readonly download: <N extends RouteName>(name: N, input: CallInput<Routes[N]>) => Promise<Buffer>;
}

function urlOf(baseUrl: string, route: RouteSpec, input: { params?: object; query?: object }): URL {
  const params = (input.params ?? {}) as Record<string, string | number>;
  const path = route.path
    .replace(/:([A-Za-z]+)/g, (_, name: string) => encodeURIComponent(String(params[name])))
    .replace(/\*$/, () => String(params['*']).split('/').map(encodeURIComponent).join('/'));
  const url = new URL(path, baseUrl);
  for (const [name, value] of Object.entries(input.query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  return url;
}

async function refusalOf(response: Response): Promise<Error> {
  const text = await response.text();
  if (response.headers.get('content-type')?.startsWith('application/problem+json')) {
    return new ApiProblem(JSON.parse(text) as Problem);
  }
  return new Error(`${response.url} answered ${response.status}: ${text.slice(0, 300)}`);
}

/** A client of the people's API, typed by the contract's route table; no generated code. */
export function createApi(options: ApiOptions): Api {
  const send = async (name: RouteName, input: object): Promise<Response> => {
    const route: RouteSpec = routes[name];
    const parts = input as { params?: object; query?: object; body?: unknown; ifMatch?: number };
    const token = await options.token();
    const response = await patientFetch(urlOf(options.baseUrl, route, parts), {
      method: route.method,
      headers: {
        accept: 'application/json',
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(parts.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(parts.ifMatch === undefined ? {} : { 'if-match': `"${parts.ifMatch}"` }),
      },
      ...(parts.body === undefined ? {} : { body: JSON.stringify(parts.body) }),
    });
    if (!response.ok) throw await refusalOf(response);
    return response;
  };
  return {
    call: async (name, input) => {
      const response = await send(name, input);
      return (response.status === 204 ? null : await response.json()) as never;
    },
    download: async (name, input) => Buffer.from(await (await send(name, input)).arrayBuffer()),
  };
}
