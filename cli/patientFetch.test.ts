import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { patientFetch } from './patientFetch.ts';

/** Answers these status codes one after the other, the last one for ever; says how often it was asked and with what. */
async function serve(answers: readonly [number, string?][]) {
  const bodies: string[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString('utf8')));
    request.on('end', () => {
      const [status, retryAfter] = answers[Math.min(bodies.length, answers.length - 1)] ?? [500];
      bodies.push(body);
      response.writeHead(status, retryAfter === undefined ? {} : { 'retry-after': retryAfter }).end('said');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const ask = async () => {
    const response = await patientFetch(url, { method: 'POST', body: 'code=1' });
    await response.text();
    server.close();
    server.closeAllConnections();
    return response.status;
  };
  return { ask, bodies };
}

describe('a question to a busy server', () => {
  it('is asked again when the server says when, with the same words', async () => {
    const { ask, bodies } = await serve([[503, '0'], [429, '0'], [200]]);
    expect(await ask()).toBe(200);
    expect(bodies).toEqual(['code=1', 'code=1', 'code=1']);
  });

  it.each([
    { why: 'the server does not say when', answers: [[503]], asked: 1, status: 503 },
    { why: 'it would take too long', answers: [[503, '3600']], asked: 1, status: 503 },
    {
      why: 'something went wrong, and perhaps something was done',
      answers: [[500, '0']],
      asked: 1,
      status: 500,
    },
    { why: 'the server stays busy', answers: [[503, '0']], asked: 4, status: 503 },
  ] satisfies { why: string; answers: [number, string?][]; asked: number; status: number }[])(
    'is not asked again for ever: $why',
    async ({ answers, asked, status }) => {
      const { ask, bodies } = await serve(answers);
      expect(await ask()).toBe(status);
      expect(bodies).toHaveLength(asked);
    },
  );
});
