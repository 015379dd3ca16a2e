import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync, mkdirSync, statSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join, normalize } from 'node:path';
import { pipeline } from 'node:stream/promises';

/**
 * Serves the lab's hosts over HTTP: the lab's own repository under /lab/, and as apt's proxy the distribution's
 * repositories, keeping every file whose name pins its content, so that six hosts download an update once. A package
 * such as apt-cacher-ng would start a system-wide service on the user's machine; this one lives and dies with the lab.
 */
interface MirrorOptions {
  address: string;
  /** 0 chooses a free one. */
  port: number;
  repositoryDir: string;
  cacheDir: string;
  /** Hosts that may be fetched from: the distribution's, nothing else. */
  upstreamHosts: string[];
  /** The machine's own proxy, when it has one. */
  upstreamProxy: string | undefined;
}

const options = JSON.parse(process.argv[2] ?? '') as MirrorOptions;
const upstreamTimeoutMs = 60_000;
/** Downloads under way: who asks for the same file waits for it instead of fetching it again. */
const downloads = new Map<string, Promise<boolean>>();

/** Package files carry their version in their name, by-hash files their digest: neither ever changes. */
function isImmutable(url: URL): boolean {
  return url.pathname.endsWith('.deb') || url.pathname.includes('/by-hash/');
}

async function openUpstream(url: URL, headers: Record<string, string>): Promise<IncomingMessage> {
  const target = options.upstreamProxy === undefined ? url : new URL(options.upstreamProxy);
  const path = options.upstreamProxy === undefined ? url.pathname + url.search : url.href;
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host: target.hostname, port: target.port || 80, path, headers: { ...headers, host: url.host } },
      resolve,
    );
    outgoing.setTimeout(upstreamTimeoutMs, () =>
      outgoing.destroy(new Error('the repository does not answer')),
    );
    outgoing.on('error', reject);
    outgoing.end();
  });
}

async function download(url: URL, file: string): Promise<boolean> {
  const answer = await openUpstream(url, {});
  if (answer.statusCode !== 200) {
    answer.resume();
    return false;
  }
  const part = `${file}.${randomUUID()}.part`;
  try {
    await pipeline(answer, createWriteStream(part));
    const announced = answer.headers['content-length'];
    if (announced !== undefined && statSync(part).size !== Number(announced)) throw new Error('cut short');
    await rename(part, file);
    return true;
  } finally {
    await rm(part, { force: true });
  }
}

/** Makes sure the file is in the cache; false when the repository does not have it. */
async function ensureCached(url: URL, file: string): Promise<boolean> {
  if (existsSync(file)) return true;
  let underWay = downloads.get(file);
  if (underWay === undefined) {
    underWay = download(url, file).finally(() => downloads.delete(file));
    downloads.set(file, underWay);
  }
  return underWay;
}

async function sendFile(file: string, response: ServerResponse): Promise<void> {
  response.writeHead(200, {
    'content-length': statSync(file).size,
    'content-type': 'application/octet-stream',
  });
  await pipeline(createReadStream(file), response);
}

function pickHeaders(incoming: IncomingMessage, names: string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = incoming.headers[name];
      return typeof value === 'string' ? [[name, value]] : [];
    }),
  );
}

async function relay(url: URL, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const answer = await openUpstream(url, pickHeaders(incoming, ['range', 'if-range', 'if-modified-since']));
  const kept = ['content-length', 'content-type', 'content-range', 'last-modified', 'etag', 'location'];
  response.writeHead(answer.statusCode ?? 502, pickHeaders(answer, kept));
  await pipeline(answer, response);
}

async function serveDistribution(
  url: URL,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (!options.upstreamHosts.includes(url.host)) {
    response.writeHead(403).end('not a repository of this lab\n');
    return;
  }
  const file = join(options.cacheDir, createHash('sha256').update(url.href).digest('hex'));
  if (isImmutable(url) && (await ensureCached(url, file))) await sendFile(file, response);
  else await relay(url, incoming, response);
}

async function serveRepository(path: string, response: ServerResponse): Promise<void> {
  const file = join(options.repositoryDir, normalize(path).replace(/^\/lab\//, ''));
  const isInside = file.startsWith(`${options.repositoryDir}/`);
  if (isInside && existsSync(file) && statSync(file).isFile()) await sendFile(file, response);
  else response.writeHead(404).end();
}

async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const target = incoming.url ?? '/';
  if (target.startsWith('/lab/')) await serveRepository(decodeURIComponent(target), response);
  else if (target.startsWith('http://')) await serveDistribution(new URL(target), incoming, response);
  else response.writeHead(404).end();
}

mkdirSync(options.cacheDir, { recursive: true });
const server = createServer((incoming, response) => {
  serve(incoming, response).catch((error: unknown) => {
    console.error(`${incoming.url ?? ''}: ${String(error)}`);
    if (!response.headersSent) response.writeHead(502);
    response.end();
  });
});
server.listen(options.port, options.address, () => {
  // The parent reads the port from the first line.
  console.log(JSON.stringify(server.address()));
});
