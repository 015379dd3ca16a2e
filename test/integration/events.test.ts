import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { LiveEvent } from '#contract/tenants.ts';
import { createEventsModule, type EventsModule } from '../../server/src/features/events/events.module.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { startPeopleServer, type PeopleServer } from '../harness/people-server.ts';

let server: PeopleServer;
let tenantId: string;
let base: string;
let emit: EventsModule['emit'];

beforeAll(async () => {
  server = await startPeopleServer();
  ({ tenantId } = await server.tenant('direct'));
  await server.member(tenantId, 'viewer', ['client_viewer']);
  await server.app.listen({ host: '127.0.0.1', port: 0 });
  base = `127.0.0.1:${(server.app.server.address() as AddressInfo).port}`;
  // The same way in that features have; its own sequencer hears nothing because the topic is taken once per relay.
  const silent = { ...server.platform.outbox, subscribe: () => undefined };
  ({ emit } = createEventsModule({
    ...server.platform,
    outbox: silent,
    publicUrl: 'http://localhost',
    belongs: () => Promise.resolve(true),
  }));
});

afterAll(async () => {
  await server.stop();
});

async function ticket(): Promise<string> {
  const answer = await server.app.inject({
    method: 'POST',
    url: `/api/v1/tenants/${tenantId}/live-tickets`,
    headers: await server.bearer('viewer'),
  });
  return answer.json<{ ticket: string }>().ticket;
}

interface Screen {
  readonly events: LiveEvent[];
  readonly opened: Promise<void>;
  readonly closed: Promise<number>;
  readonly close: () => void;
}

function open(query: string, headers: Record<string, string> = {}): Screen {
  const socket = new WebSocket(`ws://${base}/ws?${query}`, { headers });
  const events: LiveEvent[] = [];
  socket.on('message', (text: Buffer) => events.push(...(JSON.parse(text.toString()) as LiveEvent[])));
  const opened = new Promise<void>((resolve, reject) => {
    socket.once('open', () => resolve());
    socket.once('error', reject);
  });
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  opened.catch(() => undefined);
  return { events, opened, closed, close: () => socket.close() };
}

async function until(condition: () => boolean): Promise<void> {
  const endMs = Date.now() + 15_000;
  while (!condition()) {
    if (Date.now() > endMs) throw new Error('it did not happen in time');
    await server.platform.clock.sleep(20);
  }
}

function say(count: number): Promise<void[]> {
  return Promise.all(
    Array.from({ length: count }, (_, line) =>
      server.platform.db.inTenant(tenantId, (tx) =>
        emit(tx, { type: 'hostRun.log', subjectId: newId(), data: { line } }),
      ),
    ),
  );
}

describe('live events', () => {
  it('arrive in one sequence without gap or double, although many transactions commit at once', async () => {
    const screen = open(`ticket=${await ticket()}&after=0`);
    await screen.opened;
    await say(200);
    await until(() => screen.events.length >= 200);
    expect(screen.events.map(({ seq }) => seq)).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
    screen.close();
  });

  it('resume after the last number seen', async () => {
    const screen = open(`ticket=${await ticket()}&after=190`);
    await until(() => screen.events.length === 10);
    expect(screen.events[0]?.seq).toBe(191);
    screen.close();
  });

  it('are not told when the transaction is rolled back', async () => {
    const screen = open(`ticket=${await ticket()}&after=200`);
    await screen.opened;
    await server.platform.db
      .inTenant(tenantId, async (tx) => {
        await emit(tx, { type: 'run.changed', subjectId: null, data: {} });
        throw new Error('on purpose');
      })
      .catch(() => undefined);
    await say(1);
    await until(() => screen.events.length > 0);
    expect(screen.events.map(({ seq, type }) => [seq, type])).toEqual([[201, 'hostRun.log']]);
    screen.close();
  });

  it('need a ticket, which opens one socket once', async () => {
    await expect(open(`ticket=${'A'.repeat(32)}`).opened).rejects.toThrow('401');
    const once = await ticket();
    const screen = open(`ticket=${once}`);
    await screen.opened;
    await expect(open(`ticket=${once}`).opened).rejects.toThrow('401');
    screen.close();
  });

  it('are refused to a page of another origin', async () => {
    await expect(open(`ticket=${await ticket()}`, { origin: 'http://evil.example' }).opened).rejects.toThrow(
      '403',
    );
  });

  it('end for a person who has lost the tenant', async () => {
    const personId = await server.member(tenantId, 'leaver', ['client_viewer']);
    const answer = await server.app.inject({
      method: 'POST',
      url: `/api/v1/tenants/${tenantId}/live-tickets`,
      headers: await server.bearer('leaver'),
    });
    const screen = open(`ticket=${answer.json<{ ticket: string }>().ticket}`);
    await screen.opened;
    await server.platform.db.inTenant(tenantId, (tx) =>
      tx.deleteFrom('memberships').where('person_id', '=', personId).execute(),
    );
    expect(await screen.closed).toBe(4003);
  });
});
