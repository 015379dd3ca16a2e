import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { sql } from 'kysely';
import type { EnrolResponse } from '#contract/agent-link.ts';
import { measures, scales, type HostMetrics, type Measure, type MetricSample } from '#contract/metrics.ts';
import { createMetricsModule, type MetricsDeps } from '../../server/src/features/metrics/metrics.module.ts';
import { createDb } from '../../server/src/platform/db.ts';
import { createLogger } from '../../server/src/platform/log.ts';
import { admin, publishFirstPolicy, startHostsWorld, type HostsWorld } from '../harness/hosts-world.ts';
import { enrolled, LinkClient } from '../harness/link-client.ts';
import { RecordedAgent } from '../harness/recorded-agent.ts';

const minuteMs = 60_000;
const hourMs = 3_600_000;
const dayMs = 86_400_000;
const retention = { samples: 2, hours: 90, days: 1826 };

let world: HostsWorld;
let tenant: { tenantId: string; siteId: string };
let other: { tenantId: string; siteId: string };
const clients: LinkClient[] = [];
let hosts = 0;

const log = createLogger({ level: 'silent', role: 'test' });

async function newToken(of = tenant): Promise<string> {
  const wish = { siteId: of.siteId, expiresInMinutes: 60 };
  return (await world.agents.enrolment.createToken(of.tenantId, admin, wish)).token;
}

interface Host {
  readonly identity: EnrolResponse;
  readonly send: (samples: readonly MetricSample[]) => Promise<void>;
}

/** A host on the real listener; `send` resolves when the database has what was sent. */
async function newHost(of = tenant): Promise<Host> {
  hosts += 1;
  const identity = await enrolled(await newToken(of), { hostname: `host-${hosts}.example.org` });
  const client = new LinkClient(identity.agentsUrl, { ca: identity.caPem, cert: identity.chainPem });
  clients.push(client);
  await client.opened();
  client.hello();
  await client.frame('measure');
  return {
    identity,
    send: async (samples) => {
      const before = settled();
      for (let at = 0; at < samples.length; at += 240)
        client.send({ type: 'metrics', dropped: 0, samples: samples.slice(at, at + 240) });
      await expect.poll(settled, { timeout: 20_000 }).toBe(before + samples.length);
    },
  };
}

/** Samples of which it is known what became of them. */
function settled(): number {
  const { stored, ignored, shed, refused } = world.metrics.intake.counts;
  return stored + ignored + shed + refused;
}

/** One sample whose codes tell their minute. */
const sample = (atMs: number, load = Math.floor(atMs / minuteMs) % 100): MetricSample =>
  [Math.floor(atMs / minuteMs), ...[500, 250, null, load, 100, 0, 3000, 0]] as unknown as MetricSample;

const span = (fromMs: number, toMs: number): MetricSample[] =>
  Array.from({ length: Math.round((toMs - fromMs) / minuteMs) }, (_, n) => sample(fromMs + n * minuteMs));

const ask = (
  { identity }: Pick<Host, 'identity'>,
  [fromMs, toMs]: readonly [number, number],
  step?: number,
): Promise<HostMetrics> =>
  world.metrics.service.get(identity.tenantId, identity.hostId, {
    from: new Date(fromMs).toISOString(),
    to: new Date(toMs).toISOString(),
    step,
  });

const curve = (answer: HostMetrics, measure: Measure) => {
  const found = answer.series.find((one) => one.measure === measure);
  if (found === undefined) throw new Error(`no curve of ${measure}`);
  return found;
};

async function count(table: string): Promise<number> {
  const { rows } = await world.db.inSystem('tests.count', (tx) =>
    sql<{ n: number }>`select count(*)::int as n from ${sql.table(table)}`.execute(tx),
  );
  return rows[0]?.n ?? 0;
}

/** The first millisecond of the day before yesterday: all of it is past, and raw samples of it are taken. */
const pastDay = (): number => Math.floor(Date.now() / dayMs) * dayMs - 2 * dayMs;

beforeAll(async () => {
  world = await startHostsWorld();
  [tenant, other] = await Promise.all([world.createTenant(), world.createTenant()]);
  await Promise.all([publishFirstPolicy(world, tenant.tenantId), publishFirstPolicy(world, other.tenantId)]);
  await world.metrics.keeper.tick();
}, 120_000);

afterEach(() => world.clock.ahead(0));

afterAll(async () => {
  for (const client of clients) client.end();
  await world.stop();
});

describe('measures of a host', () => {
  it('come from the product’s agent, of the machine it runs on, and are shown', async () => {
    const agent = await RecordedAgent.enrol(await newToken());
    const identity = { tenantId: tenant.tenantId, hostId: agent.hostId } as EnrolResponse;
    const now = Date.now();
    expect((await ask({ identity }, [now - hourMs, now])).lastSampleAt).toBeNull();
    await agent.start();
    try {
      const answer = await expect
        .poll(() => ask({ identity }, [now - hourMs, now + hourMs]), { timeout: 30_000, interval: 500 })
        .toMatchObject({ lastSampleAt: expect.any(String) as string })
        .then(() => ask({ identity }, [now - hourMs, now + hourMs]));
      expect(answer.stepS).toBe(60);
      for (const measure of ['cpuBusy', 'memoryUsed', 'load1', 'rootUsed'] as const) {
        const [value] = curve(answer, measure).avg.filter((point) => point !== null);
        expect([measure, value]).toEqual([measure, expect.any(Number)]);
        expect(value).toBeGreaterThanOrEqual(0);
        if (measure !== 'load1') expect(value).toBeLessThanOrEqual(100);
      }
    } finally {
      await agent.remove();
    }
  }, 60_000);

  it('are the same by the minute before and after they were packed, and gaps stay gaps', async () => {
    const host = await newHost();
    const start = pastDay() + 3 * hourMs;
    const sent = [
      ...span(start, start + 20 * minuteMs),
      ...span(start + 40 * minuteMs, start + 90 * minuteMs),
    ];
    await host.send(sent);
    const before = await ask(host, [start, start + 2 * hourMs], 60);
    await world.metrics.keeper.tick();
    expect(await count('metric_late_hours')).toBe(0);
    const after = await ask(host, [start, start + 2 * hourMs], 60);
    expect(after).toEqual(before);
    const load = curve(after, 'load1').avg;
    expect(load).toHaveLength(120);
    expect(load.slice(20, 40)).toEqual(Array.from({ length: 20 }, () => null));
    expect(load[0]).toBe(scales.load1.fromCode(Number(sent[0]?.[4])));
    expect(curve(after, 'swapUsed').avg.every((point) => point === null)).toBe(true);
  });

  it('are packed an hour after the other as time goes by', async () => {
    const host = await newHost();
    const now = Date.now();
    await host.send([sample(now), sample(now - minuteMs)]);
    const before = await count('metric_hours');
    world.clock.ahead(2 * hourMs);
    await world.metrics.keeper.tick();
    expect(await count('metric_hours')).toBeGreaterThan(before);
    const point = curve(await ask(host, [now - 5 * minuteMs, now + minuteMs], 60), 'cpuBusy').avg;
    expect(point.filter((value) => value === 50)).toHaveLength(2);
  });

  it('that come late are merged into their packed hour and their rolled-up day, once each', async () => {
    const host = await newHost();
    const start = pastDay() + 8 * hourMs;
    await host.send(span(start, start + 30 * minuteMs));
    await world.metrics.keeper.tick();
    const day = (): Promise<HostMetrics> => ask(host, [pastDay(), pastDay() + dayMs], 86_400);
    expect(curve(await day(), 'load1').max).toEqual([
      Math.max(...span(start, start + 30 * minuteMs).map(([, , , , load]) => Number(load))) / 100,
    ]);
    const late = sample(start + 45 * minuteMs, 31_000);
    await host.send([late, sample(start, 9)]);
    await world.metrics.keeper.tick();
    const minutes = curve(await ask(host, [start, start + hourMs], 60), 'load1').avg;
    expect(minutes.filter((value) => value !== null)).toHaveLength(31);
    expect(minutes[45]).toBe(310);
    // The second word about a minute is not believed.
    expect(minutes[0]).toBe((Math.floor(start / minuteMs) % 100) / 100);
    expect(curve(await day(), 'load1').max).toEqual([310]);
  });

  it('are rolled up by hour and by day to what the samples come to', async () => {
    const host = await newHost();
    const start = pastDay();
    await host.send(span(start, start + dayMs));
    const asked = async (step: number) => curve(await ask(host, [start, start + dayMs], step), 'load1');
    const [hourly, daily] = [await asked(3600), await asked(86_400)];
    await world.metrics.keeper.tick();
    expect(await asked(3600)).toEqual(hourly);
    expect(await asked(86_400)).toEqual(daily);
    expect(hourly.avg).toHaveLength(24);
    const all = span(start, start + dayMs).map(([, , , , load]) => Number(load) / 100);
    expect(daily.min).toEqual([Math.min(...all)]);
    expect(daily.max).toEqual([Math.max(...all)]);
    expect(daily.avg[0]).toBeCloseTo(all.reduce((sum, value) => sum + value, 0) / all.length, 1);
  }, 30_000);

  it('of the future, or too old, are refused and counted, and the connection goes on', async () => {
    const host = await newHost();
    const { refused } = world.metrics.intake.counts;
    await host.send([sample(Date.now() + hourMs), sample(pastDay() - 1), sample(0)]);
    expect(world.metrics.intake.counts.refused).toBe(refused + 3);
    await host.send([sample(Date.now())]);
    expect((await ask(host, [Date.now() - hourMs, Date.now()])).lastSampleAt).not.toBeNull();
  });

  it('are seen by nobody of another tenant, in the curve, in the tables or in their partitions', async () => {
    const host = await newHost();
    await host.send(span(pastDay(), pastDay() + 90 * minuteMs));
    await world.metrics.keeper.tick();
    await expect(
      world.metrics.service.get(other.tenantId, host.identity.hostId, {
        from: new Date(pastDay()).toISOString(),
        to: new Date().toISOString(),
      }),
    ).rejects.toMatchObject({ code: 'not_found' });
    const tables = ['metric_samples', 'metric_hours', 'metric_days', 'metric_late_hours'];
    const partitions = await world.db.inSystem('tests.partitions', (tx) =>
      sql<{ name: string }>`
        select c.oid::regclass::text as name from pg_class c where c.relkind = 'r' and c.relispartition and c.relname like 'metric_%'`.execute(
        tx,
      ),
    );
    expect(partitions.rows).toHaveLength(52);
    for (const table of [...tables, ...partitions.rows.map(({ name }) => name)]) {
      const seen = await world.db.inTenant(other.tenantId, (tx) =>
        sql<{ n: number }>`select count(*)::int as n from ${sql.table(table)}`.execute(tx),
      );
      expect([table, seen.rows[0]?.n]).toEqual([table, 0]);
    }
    await expect(
      world.db.inTenant(tenant.tenantId, (tx) => sql`delete from metric_hours`.execute(tx)),
    ).rejects.toThrow(/permission denied/);
  });

  it('are packed once when two nodes pack at the same time', async () => {
    const host = await newHost();
    const start = pastDay() + 15 * hourMs;
    await host.send(span(start, start + 5 * hourMs));
    const before = await count('metric_hours');
    const second = createDb({
      app: { connectionString: world.database.appUrl },
      system: { connectionString: world.database.systemUrl },
      ...{ log, clock: world.clock },
    });
    const deps: MetricsDeps = {
      db: second,
      clock: world.clock,
      log,
      retention,
      metrics: { gauge: () => undefined },
    };
    const node = createMetricsModule(deps);
    try {
      await Promise.all([world.metrics.keeper.tick(), node.keeper.tick(), world.metrics.keeper.tick()]);
      // Whoever found the work taken looks again with its next turn.
      await node.keeper.tick();
    } finally {
      await second.close();
    }
    expect(await count('metric_hours')).toBe(before + 5);
    expect(await count('metric_late_hours')).toBe(0);
    const answer = await ask(host, [start, start + 5 * hourMs], 60);
    expect(curve(answer, 'load1').avg.every((point) => point !== null)).toBe(true);
  });

  it('refuse a time without steps and a step that gives too many points', async () => {
    const host = await newHost();
    const now = Date.now();
    for (const [from, to, step] of [
      [now, now - hourMs, undefined],
      [now - 30 * dayMs, now, 60],
    ] as const)
      await expect(ask(host, [from, to], step)).rejects.toMatchObject({ code: 'invalid_request' });
    expect((await ask(host, [now - 30 * dayMs, now])).stepS).toBe(3600);
    expect((await ask(host, [now - 365 * dayMs, now])).stepS).toBe(86_400);
  });
});

describe('measures past their retention', () => {
  it('go form by form, whole partitions at a time: single ones, packed hours, rolled-up days', async () => {
    const host = await newHost();
    const start = pastDay();
    await host.send(span(start, start + dayMs));
    await world.metrics.keeper.tick();
    const shown = async (step: number) =>
      curve(await ask(host, [start, start + dayMs], step), 'cpuBusy').avg.filter((point) => point !== null)
        .length;
    const seen: Record<string, [number, number, number]> = {};
    for (const days of [4, 100, 2000]) {
      world.clock.ahead(days * dayMs);
      await world.metrics.keeper.tick();
      seen[days] = [await shown(300), await shown(3600), await shown(86_400)];
      if (days === 4) expect(await count('metric_samples')).toBe(0);
    }
    expect(seen).toEqual({ 4: [288, 24, 1], 100: [0, 24, 1], 2000: [0, 0, 0] });
    expect(await count('metric_hours')).toBe(0);
    expect(await count('metric_days')).toBe(0);
    expect(measures).toHaveLength(8);
  }, 60_000);
});
