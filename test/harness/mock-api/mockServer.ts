import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { Value } from 'typebox/value';
import { WebSocketServer } from 'ws';
import { routes } from '#contract/routes.ts';
import type { RouteName } from '#contract/routes.ts';
import type { RouteSpec } from '#contract/route.ts';
import { answers } from './answers.ts';

// A stand-in for the server while screens are drawn: it holds a simulated client, checks every answer against the
// contract, and serves the built application under the product's own content policy. It never ships.

const contentPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
  "connect-src 'self' ws:; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, {
    'content-type': status >= 400 ? 'application/problem+json' : 'application/json',
  });
  response.end(JSON.stringify(body));
}

function sendProblem(response: ServerResponse, status: 404 | 500, detail?: string): void {
  const code = status === 404 ? 'not_found' : 'internal';
  const body = {
    type: `urn:atlas:error:${code}`,
    title: code,
    status,
    code,
    requestId: 'mock-0001',
    retryable: false,
  };
  sendJson(response, status, detail === undefined ? body : { ...body, detail });
}

function findRoute(
  method: string,
  pathname: string,
): { name: RouteName; params: Record<string, string> } | null {
  for (const [name, route] of Object.entries(routes as Record<string, RouteSpec>)) {
    const pattern = new RegExp(
      `^${route.path.replace(/:([A-Za-z]+)/g, '(?<$1>[^/]+)').replace('/*', '/(?<rest>.+)')}$`,
    );
    const match = pattern.exec(pathname);
    if (match !== null && route.method === method)
      return { name: name as RouteName, params: { ...match.groups } };
  }
  return null;
}

function answerApi(request: IncomingMessage, response: ServerResponse, url: URL): void {
  const matched = findRoute(request.method ?? 'GET', url.pathname);
  const answer = matched === null ? undefined : answers[matched.name];
  if (matched === null || answer === undefined) return sendProblem(response, 404);
  const body = answer({ params: matched.params, query: Object.fromEntries(url.searchParams) });
  if (body === null) return sendProblem(response, 404);
  const spec: RouteSpec = routes[matched.name];
  if (!Value.Check(spec.response, body)) {
    const first = Value.Errors(spec.response, body)[0];
    return sendProblem(response, 500, `${matched.name} breaks the contract: ${JSON.stringify(first)}`);
  }
  sendJson(response, spec.status ?? 200, body);
}

/** The few words of OpenID Connect that keycloak-js needs: an immediate sign-in of the one simulated person. */
function answerIdentity(response: ServerResponse, url: URL, nonces: { last: string }): void {
  if (url.pathname.endsWith('/auth')) {
    nonces.last = url.searchParams.get('nonce') ?? '';
    const back = new URL(url.searchParams.get('redirect_uri') ?? '/');
    back.hash = new URLSearchParams({
      state: url.searchParams.get('state') ?? '',
      code: 'mock',
      session_state: 'mock',
    }).toString();
    response.writeHead(302, { location: back.toString() }).end();
    return;
  }
  if (url.pathname.endsWith('/logout')) {
    response.writeHead(302, { location: url.searchParams.get('post_logout_redirect_uri') ?? '/' }).end();
    return;
  }
  const now = Math.floor(Date.now() / 1000);
  const claims = { exp: now + 300, iat: now, nonce: nonces.last, sub: 'mock', sid: 'mock' };
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const token = `${part({ alg: 'none' })}.${part(claims)}.mock`;
  sendJson(response, 200, { access_token: token, id_token: token, refresh_token: token, expires_in: 300 });
}

async function answerFile(response: ServerResponse, folder: string, pathname: string): Promise<void> {
  const wanted = path.join(folder, path.normalize(pathname));
  const file = path.extname(wanted) === '' ? path.join(folder, 'index.html') : wanted;
  const bytes = await readFile(file).catch(() => null);
  if (bytes === null) {
    response.writeHead(404).end();
    return;
  }
  const type = types[path.extname(file)] ?? 'application/octet-stream';
  response.writeHead(200, { 'content-type': type, 'content-security-policy': contentPolicy }).end(bytes);
}

export interface MockServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Starts the mock on a free port of the loopback, serving the built application from `webFolder`. */
export async function startMockServer(webFolder: string): Promise<MockServer> {
  const nonces = { last: '' };
  let origin = '';
  const server: Server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', origin);
    if (url.pathname === '/api/v1/bootstrap') {
      sendJson(response, 200, {
        product: 'ATLAS ORCHESTRATOR™',
        version: '0.1.0',
        identity: { url: `${origin}/idp`, realm: 'atlas', clientId: 'atlas-web' },
        locales: ['fr', 'en'],
        serverTime: new Date().toISOString(),
      });
    } else if (url.pathname.startsWith('/api/')) answerApi(request, response, url);
    else if (url.pathname.startsWith('/idp/')) answerIdentity(response, url, nonces);
    else void answerFile(response, webFolder, url.pathname);
  });
  const sockets = new WebSocketServer({ server, path: '/ws' });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://localhost:${(server.address() as AddressInfo).port}`;
  return {
    url: origin,
    close: async () => {
      for (const client of sockets.clients) client.terminate();
      sockets.close();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
