import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { describeDatabaseHealth, readDatabaseHealth } from './databaseHealth.ts';

/** What is read of a server that answers like this when asked whether it is ready. */
async function readFrom(status: number, body: unknown) {
  const server = createServer((_request, response) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body)),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await readDatabaseHealth(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.close();
  }
}

describe('the health of the database', () => {
  const database = { standbys: 1, following: 0, behindBytes: 0, warnings: ['standby_missing'] };

  it('is said in words', async () => {
    const read = await readFrom(200, { status: 'ready', database });
    expect(read).toEqual(database);
    expect(describeDatabaseHealth(database)).toEqual([
      'secours qui suivent : 0/1, 0 Kio de retard · un secours manque ou ne suit pas',
      'standbys that follow: 0/1, 0 KiB behind · a standby is missing or does not follow',
    ]);
  });

  it('is not spoken of with a single database, or without an answer', async () => {
    expect(await readFrom(200, { status: 'ready' })).toBeNull();
    expect(await readDatabaseHealth('http://127.0.0.1:1')).toBeNull();
  });
});
