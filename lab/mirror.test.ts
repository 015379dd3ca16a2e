import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { getLabPaths } from './lab-paths.ts';
import type { LabPaths } from './lab-paths.ts';
import { ensureMirror, stopMirror } from './mirror.ts';
import type { MirrorSettings } from './mirror.ts';

let stateDir: string;
let paths: LabPaths;
let settings: MirrorSettings;
let port: number;
let upstream: string;
const asked: string[] = [];

const distribution = createServer((incoming, response) => {
  asked.push(incoming.url ?? '');
  if (incoming.url?.includes('absent') === true) response.writeHead(404).end('absent');
  else setTimeout(() => response.end(`content of ${incoming.url ?? ''}`), 50);
});

/** What a host gets when it asks the mirror as apt does: the whole address in the request line. */
async function ask(target: string): Promise<{ status: number | undefined; body: string }> {
  const outgoing = request({ host: '127.0.0.1', port, path: target });
  outgoing.end();
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
  let body = '';
  for await (const chunk of answer) body += String(chunk);
  return { status: answer.statusCode, body };
}

beforeAll(async () => {
  stateDir = mkdtempSync(join(tmpdir(), 'atlas-lab-mirror-'));
  paths = getLabPaths(stateDir);
  distribution.listen(0, '127.0.0.1');
  await once(distribution, 'listening');
  upstream = `http://127.0.0.1:${(distribution.address() as AddressInfo).port}`;
  mkdirSync(paths.repositoryDir, { recursive: true });
  writeFileSync(join(paths.repositoryDir, 'Release'), 'Suite: lab\n');
  settings = {
    address: '127.0.0.1',
    port: 0,
    cacheDir: join(stateDir, 'cache'),
    sources: { suite: 'bookworm', releaseUri: `${upstream}/debian`, securityUri: `${upstream}/security` },
    settings: { lines: [], httpProxy: undefined },
  };
  port = await ensureMirror(paths, settings);
});

afterAll(async () => {
  await stopMirror(paths);
  distribution.close();
  rmSync(stateDir, { recursive: true, force: true });
});

describe('the mirror of a lab', () => {
  it('fetches a package once for all who ask at the same time and later', async () => {
    const target = `${upstream}/debian/pool/a_1_all.deb`;
    const answers = await Promise.all([ask(target), ask(target), ask(target)]);
    answers.push(await ask(target));
    for (const answer of answers) {
      expect(answer).toEqual({ status: 200, body: 'content of /debian/pool/a_1_all.deb' });
    }
    expect(asked.filter((path) => path.endsWith('a_1_all.deb'))).toHaveLength(1);
  });

  it('asks again every time for what may change', async () => {
    await ask(`${upstream}/debian/dists/bookworm/InRelease`);
    await ask(`${upstream}/debian/dists/bookworm/InRelease`);
    expect(asked.filter((path) => path.endsWith('InRelease'))).toHaveLength(2);
  });

  it('hands a refusal of the repository on and keeps nothing of it', async () => {
    const target = `${upstream}/debian/pool/absent.deb`;
    expect((await ask(target)).status).toBe(404);
    expect((await ask(target)).status).toBe(404);
  });

  it('fetches from the distribution alone', async () => {
    expect((await ask('http://127.0.0.1:1/debian/x.deb')).status).toBe(403);
  });

  it('serves the lab’s own repository and nothing beside it', async () => {
    expect(await ask('/lab/./Release')).toEqual({ status: 200, body: 'Suite: lab\n' });
    expect((await ask('/lab/../mirror.json')).status).toBe(404);
    expect((await ask('/lab/%2e%2e/mirror.json')).status).toBe(404);
  });

  it('is not started twice', async () => {
    expect(await ensureMirror(paths, settings)).toBe(port);
  });
});
