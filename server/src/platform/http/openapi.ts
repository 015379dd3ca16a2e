import { errorCodes, Problem, type ErrorCode } from '#contract/errors.ts';
import type { RouteSpec } from '#contract/route.ts';

interface OpenApiOptions {
  readonly routes: Readonly<Record<string, RouteSpec>>;
  readonly version: string;
}

type Json = Record<string, unknown>;
type ObjectSchema = { readonly properties?: Record<string, Json>; readonly required?: readonly string[] };

function parameters(schema: unknown, place: 'path' | 'query'): Json[] {
  const { properties = {}, required = [] } = (schema ?? {}) as ObjectSchema;
  return Object.entries(properties).map(([name, property]) => ({
    name: name === '*' ? 'path' : name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: property,
  }));
}

/** Codes that a route can answer: those of everybody, those its own features ask for, those it names. */
function codesOf(route: RouteSpec): ErrorCode[] {
  const codes = new Set<ErrorCode>([
    'invalid_request',
    'rate_limited',
    'internal',
    'overloaded',
    ...(route.errors ?? []),
  ]);
  if (route.permission !== 'public')
    for (const code of ['unauthenticated', 'token_expired', 'step_up_required'] as const) codes.add(code);
  if (!['public', 'authenticated'].includes(route.permission)) codes.add('forbidden');
  if (route.path.includes(':')) codes.add('not_found');
  if (route.body !== undefined) {
    for (const code of ['malformed_body', 'payload_too_large', 'unsupported_media_type'] as const)
      codes.add(code);
  }
  if (route.ifMatch === true)
    for (const code of ['precondition_failed', 'precondition_required'] as const) codes.add(code);
  if (route.audit !== null) codes.add('audit_unavailable');
  return [...codes];
}

function responses(route: RouteSpec): Json {
  const success = route.status ?? 200;
  const media = route.produces ?? 'application/json';
  const schema = route.produces === undefined ? route.response : { type: 'string', format: 'binary' };
  const byStatus = new Map<number, string[]>();
  for (const code of codesOf(route)) {
    const { status } = errorCodes[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return {
    [success]:
      success === 204 ? { description: 'Done' } : { description: 'Done', content: { [media]: { schema } } },
    ...Object.fromEntries(
      [...byStatus].map(([status, codes]) => [
        status,
        {
          description: codes.join(', '),
          content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      ]),
    ),
  };
}

function operation(name: string, route: RouteSpec): Json {
  const ifMatch = {
    name: 'If-Match',
    in: 'header',
    required: true,
    schema: { type: 'string', pattern: '^"\\d{1,9}"$' },
  };
  return {
    operationId: name,
    summary: route.summary,
    tags: [route.path.split('/')[route.path.includes(':tenantId') ? 5 : 3] ?? 'tenants'],
    ...(route.permission === 'public' ? { security: [] } : {}),
    'x-permission': route.permission,
    'x-audit': route.audit,
    'x-acr': route.acr ?? 2,
    parameters: [
      ...parameters(route.params, 'path'),
      ...parameters(route.query, 'query'),
      ...(route.ifMatch === true ? [ifMatch] : []),
    ],
    ...(route.body === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: route.body } } } }),
    responses: responses(route),
  };
}

/** The API as an OpenAPI 3.1 document: TypeBox schemas are JSON Schema already. */
export function openApiDocument({ routes, version }: OpenApiOptions): Json {
  const paths: Record<string, Json> = {};
  for (const [name, route] of Object.entries(routes)) {
    const path = route.path.replace(/:(\w+)/g, '{$1}').replace(/\*$/, '{path}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(name, route) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'ATLAS ORCHESTRATOR',
      version,
      description: 'Plans, releases, executes, rolls back and proves maintenance of servers, on premise.',
    },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: 'Access token of the identity provider, or an API key `atlas_<id>_<secret>`.',
        },
      },
      schemas: { Problem },
    },
  };
}
