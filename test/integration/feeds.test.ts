import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { maxFeedsOfPerson, type CalendarFeed } from '#contract/feeds.ts';
import type { MaintenancePolicy } from '#contract/plans.ts';
import type { Freeze, MaintenanceWindow } from '#contract/windows.ts';
import { monthly, nights, ReleaseDesk, yearEnd } from '../harness/release-desk.ts';

type Made = { feed: CalendarFeed; url: string };
type Mine = 'createMyCalendarFeed' | 'listMyCalendarFeeds';
let desk: ReleaseDesk;
let policyId: string;

beforeAll(async () => {
  desk = await ReleaseDesk.open(
    {
      chief: ['tenant_admin', 'operator'],
      alice: ['approver'],
      bernard: ['approver'],
      reader: ['client_viewer'],
      leaver: ['operator'],
    },
    { roles: 'api' },
  );
  await desk.enrolKey('alice');
  await desk.enrolKey('bernard');
  await desk.publish('chief');
  ({ id: policyId } = await desk.must<MaintenancePolicy>('chief', 'createMaintenancePolicy', {
    body: monthly,
  }));
}, 120_000);

afterAll(() => desk.close());

const read = (url: string) => desk.server.app.inject({ method: 'GET', url: new URL(url).pathname });

/** Unfolded lines of the events, by their UID. */
async function events(url: string): Promise<Map<string, string[]>> {
  const { body, statusCode } = await read(url);
  expect(statusCode).toBe(200);
  expect(body.split('\r\n').every((line) => Buffer.byteLength(line) <= 75)).toBe(true);
  const blocks = body.replaceAll('\r\n ', '').split('BEGIN:VEVENT\r\n').slice(1);
  return new Map(
    blocks.map((block) => {
      const lines = block.split('\r\n');
      return [lines.find((line) => line.startsWith('UID:'))?.slice(4) ?? '', lines];
    }),
  );
}

const valueOf = (lines: readonly string[] | undefined, name: string): string | undefined =>
  lines?.find((line) => line.startsWith(`${name}:`))?.slice(name.length + 1);

const summaries = async (url: string): Promise<(string | undefined)[]> =>
  [...(await events(url)).values()].map((lines) => valueOf(lines, 'SUMMARY'));

const mine = (who: string, siteIds: readonly string[] = []) =>
  desk.must<Made>(who, 'createMyCalendarFeed', { body: { siteIds } });

const ofSite = () => desk.must<Made>('chief', 'createCalendarFeed', { body: { siteId: desk.siteId } });

describe('a site’s calendar address', () => {
  it('gives the times of its site to whoever holds it, without what freezes took, until it is revoked', async () => {
    const { feed, url } = await ofSite();
    const [soon, later] = [1, 9].map((days) => new Date(Date.now() + days * 86_400_000).toISOString());
    const body = { ...yearEnd, name: 'Bascule', reason: 'Confidentiel' };
    const freeze = await desk.must<Freeze>('chief', 'createFreeze', {
      body: { ...body, when: { kind: 'once', startsAt: soon, endsAt: later } },
    });
    const answer = await read(url);
    expect(answer.headers['content-type']).toBe('text/calendar; charset=utf-8');
    expect(answer.body).not.toContain('Confidentiel');
    const found = await events(url);
    const said = [...found.values()].map((lines) => valueOf(lines, 'SUMMARY'));
    expect(said).toContain('ATLAS · Fenêtre · Siège · week-end');
    expect(said).toContain('ATLAS · Gel · Bascule');
    for (const lines of found.values()) expect(valueOf(lines, 'DTSTART')).toMatch(/^\d{8}T\d{6}Z$/);
    await desk.must('chief', 'removeFreeze', { params: { freezeId: freeze.id }, version: freeze.version });
    await desk.must('chief', 'revokeCalendarFeed', { params: { feedId: feed.id } });
    expect((await read(url)).statusCode).toBe(404);
    const { items } = await desk.must<{ items: CalendarFeed[] }>('reader', 'listCalendarFeeds');
    expect(items.find(({ id }) => id === feed.id)?.revokedAt).not.toBeNull();
  });

  it('cannot be guessed: a token of this tenant with other bits opens nothing, and only a hash is kept', async () => {
    const { url } = await ofSite();
    const token = url.split('/').at(-1) ?? '';
    const other = `${token.slice(0, -2)}${token.endsWith('AA') ? 'BB' : 'AA'}`;
    for (const guess of [other, 'A'.repeat(64), '_'.repeat(64), token.replace(/^.{22}/, 'B'.repeat(22))])
      expect([guess, (await read(url.replace(token, guess))).statusCode]).toEqual([guess, 404]);
    const [row] = await desk.query<{ found: boolean }>(
      `select exists (select 1 from calendar_feeds f where f::text like '%' || $1 || '%') as found`,
      [token],
    );
    expect(row?.found).toBe(false);
  });

  it('keeps the identifier of a time that moves, raises its number, and gives the same bytes while nothing changes', async () => {
    const window = await desk.must<MaintenanceWindow>('chief', 'createWindow', { body: nights });
    const { url } = await ofSite();
    const before = await events(url);
    expect((await read(url)).body).toBe((await read(url)).body);
    const [id, lines] = [...before].find(([uid]) => uid.startsWith(`window-${window.id}`)) ?? ['', []];
    const body = { ...nights, startTime: '23:00' };
    // Numbers count seconds: the change is not in the second of the creation.
    await desk.query(`update windows set body = body where id = $1`, [window.id]);
    await new Promise((done) => setTimeout(done, 1100));
    const changed = await desk.must<MaintenanceWindow>('chief', 'updateWindow', {
      params: { windowId: window.id },
      body,
      version: window.version + 1,
    });
    const after = (await events(url)).get(id);
    expect(valueOf(after, 'DTSTART')).not.toBe(valueOf(lines, 'DTSTART'));
    expect(Number(valueOf(after, 'SEQUENCE'))).toBeGreaterThan(Number(valueOf(lines, 'SEQUENCE')));
    expect(valueOf(after, 'DTSTAMP')).toBe(changed.updatedAt.replace(/[-:]|\.\d{3}/g, ''));
    await desk.must('chief', 'removeWindow', { params: { windowId: window.id }, version: changed.version });
  });

  it('is read thirty times a minute at most', async () => {
    const { url } = await ofSite();
    const answers: number[] = [];
    for (let n = 0; n < 31; n += 1) answers.push((await read(url)).statusCode);
    expect([answers.slice(0, 30).every((status) => status === 200), answers[30]]).toEqual([true, 429]);
  });
});

describe('a person’s calendar address', () => {
  it('says to each what waits for him, what he asked for and what he signed', async () => {
    const feeds = Object.fromEntries(
      await Promise.all(
        ['chief', 'alice', 'bernard', 'reader'].map(async (who) => [who, (await mine(who)).url] as const),
      ),
    ) as Record<'chief' | 'alice' | 'bernard' | 'reader', string>;
    const hostId = await desk.host('web-1');
    const { plan } = await desk.plan('chief', desk.request(policyId, [hostId]));
    expect(await summaries(feeds.chief)).toEqual([`ATLAS · Plan · ${plan.title}`]);
    expect(await summaries(feeds.alice)).toEqual([]);
    const { body: release } = await desk.draft('chief', plan.id);
    const asked = (await events(feeds.alice)).get(`plan-${plan.id}@atlas`);
    expect(valueOf(asked, 'SUMMARY')).toBe(`ATLAS · À valider · ${plan.title}`);
    expect(valueOf(asked, 'STATUS')).toBe('TENTATIVE');
    expect(valueOf(asked, 'URL;VALUE=URI')).toContain(`/t/${desk.tenantId}/releases/${release.release.id}`);
    expect(asked?.join()).not.toContain('web-1');
    expect(await summaries(feeds.chief)).toEqual([`ATLAS · En attente de validation · ${plan.title}`]);
    await desk.sign('alice', release);
    // She has signed: it no longer waits for her, and still concerns her.
    expect(await summaries(feeds.alice)).toEqual([`ATLAS · En attente de validation · ${plan.title}`]);
    await desk.sign('bernard', release);
    // Its time has come: it may have begun before it is read.
    const run = /^ATLAS · Exécution 1 \((prévue|en cours)\) · Mises à jour de sécurité$/;
    for (const who of ['chief', 'alice', 'bernard'] as const) {
      const found = await events(feeds[who]);
      expect([...found.keys()]).toEqual([`plan-${plan.id}@atlas`]);
      expect(valueOf(found.get(`plan-${plan.id}@atlas`), 'SUMMARY')).toMatch(run);
    }
    expect(await summaries(feeds.reader)).toEqual([]);
  });

  it('holds the windows of the sites that he chose, and no others', async () => {
    const { url, feed } = await mine('reader', [desk.siteId]);
    expect(feed).toMatchObject({ kind: 'person', siteIds: [desk.siteId], siteId: null });
    expect(new Set(await summaries(url))).toEqual(new Set(['ATLAS · Fenêtre · Siège · week-end']));
    const elsewhere = await desk.ask('reader', 'createMyCalendarFeed', { body: { siteIds: [feed.id] } });
    expect([elsewhere.status, elsewhere.body.fields?.[0]?.path]).toEqual([400, '/body/siteIds']);
  });

  it('is renewed and revoked by nobody else, but ended by who manages windows', async () => {
    const { url, feed } = await mine('alice');
    const params = { feedId: feed.id };
    for (const [who, name] of [
      ['bernard', 'renewMyCalendarFeed'],
      ['bernard', 'revokeMyCalendarFeed'],
      ['chief', 'renewCalendarFeed'],
    ] as const)
      expect([name, (await desk.ask(who, name, { params })).status]).toEqual([name, 404]);
    const renewed = await desk.must<Made>('alice', 'renewMyCalendarFeed', { params });
    expect([(await read(url)).statusCode, (await read(renewed.url)).statusCode]).toEqual([404, 200]);
    expect(renewed.feed).toMatchObject({ id: feed.id, lastReadAt: null });
    await desk.must('chief', 'revokeCalendarFeed', { params });
    expect((await read(renewed.url)).statusCode).toBe(404);
    expect((await desk.ask('alice', 'renewMyCalendarFeed', { params })).status).toBe(404);
  });

  it('is seen by the person, and by who may see the members', async () => {
    const { feed } = await mine('bernard');
    const ids = async (who: string, name: Mine | 'listCalendarFeeds') =>
      (await desk.must<{ items: CalendarFeed[] }>(who, name)).items.map(({ id }) => id);
    expect(await ids('chief', 'listCalendarFeeds')).toContain(feed.id);
    expect(await ids('bernard', 'listMyCalendarFeeds')).toContain(feed.id);
    expect(await ids('reader', 'listCalendarFeeds')).not.toContain(feed.id);
    expect(await ids('chief', 'listMyCalendarFeeds')).not.toContain(feed.id);
  });

  it('is one of five at most, also when two are asked for at once', async () => {
    const answers = await Promise.all(
      Array.from({ length: maxFeedsOfPerson + 2 }, () =>
        desk.ask('leaver', 'createMyCalendarFeed', { body: { siteIds: [] } }),
      ),
    );
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 201)).toHaveLength(maxFeedsOfPerson);
    expect(statuses.filter((status) => status === 409)).toHaveLength(2);
  });

  it('ends with the membership, for good', async () => {
    const { items } = await desk.must<{ items: CalendarFeed[] }>('leaver', 'listMyCalendarFeeds');
    const params = { feedId: items[0]?.id ?? '' };
    const { url } = await desk.must<Made>('leaver', 'renewMyCalendarFeed', { params });
    expect((await read(url)).statusCode).toBe(200);
    await desk.must('chief', 'removeMember', { params: { personId: desk.id('leaver') } });
    expect((await read(url)).statusCode).toBe(404);
    await desk.query(`insert into memberships (tenant_id, person_id, roles) values ($1, $2, '{operator}')`, [
      desk.tenantId,
      desk.id('leaver'),
    ]);
    expect((await read(url)).statusCode).toBe(404);
  });
});
