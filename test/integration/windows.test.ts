import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Site } from '#contract/tenants.ts';
import type { Calendar, Timeline } from '#contract/calendar.ts';
import type { Group } from '#contract/groups.ts';
import type { MaintenancePolicy } from '#contract/plans.ts';
import type { Freeze, MaintenanceWindow, Occurrence, WindowPreview } from '#contract/windows.ts';
import { monthly, nights, ReleaseDesk, yearEnd } from '../harness/release-desk.ts';

let desk: ReleaseDesk;

beforeAll(async () => {
  desk = await ReleaseDesk.open(
    { chief: ['tenant_admin', 'operator'], reader: ['client_viewer'] },
    { roles: 'api' },
  );
}, 120_000);

afterAll(() => desk.close());

const windowNames = async (): Promise<string[]> => {
  const { items } = await desk.must<{ items: MaintenanceWindow[] }>('reader', 'listWindows');
  return items.map(({ name }) => name);
};

describe('a maintenance window', () => {
  it('is there from the first day of a site: Saturday 20:00 to Sunday 12:00 on its clock', async () => {
    expect(await windowNames()).toEqual(['Siège · week-end']);
    const site = { name: 'Nouméa', timeZone: 'Pacific/Noumea' };
    const { id: siteId } = await desk.must<Site>('chief', 'createSite', { body: site });
    const { items } = await desk.must<{ items: MaintenanceWindow[] }>('reader', 'listWindows');
    const window = items.find((entry) => entry.siteId === siteId);
    expect(window).toMatchObject({ name: 'Nouméa · week-end', timeZone: 'Pacific/Noumea' });
    const coming = await desk.must<{ items: Occurrence[] }>('reader', 'listWindowOccurrences', {
      params: { windowId: window?.id ?? '' },
    });
    expect(coming.items).toHaveLength(5);
    for (const { start, end, elapsedMinutes } of coming.items) {
      expect(start.local).toMatch(/T20:00\+11:00$/);
      expect(end.local).toMatch(/T12:00\+11:00$/);
      expect(new Date(start.at).getUTCDay()).toBe(6);
      expect(elapsedMinutes).toBe(960);
    }
  });

  it('is made, read, changed and removed, each change against the version that was read', async () => {
    const made = await desk.must<MaintenanceWindow>('chief', 'createWindow', { body: nights });
    const params = { windowId: made.id };
    expect(await desk.must('reader', 'getWindow', { params })).toEqual(made);
    const body = { ...nights, name: 'Nuits courtes', durationMinutes: 240 };
    const changed = await desk.must<MaintenanceWindow>('chief', 'updateWindow', {
      params,
      body,
      version: made.version,
    });
    expect(changed).toMatchObject({ ...body, version: made.version + 1 });
    for (const name of ['updateWindow', 'removeWindow'] as const) {
      const old = await desk.ask('chief', name, {
        params,
        version: made.version,
        ...(name === 'updateWindow' ? { body } : {}),
      });
      expect([name, old.status, old.body.code]).toEqual([name, 412, 'precondition_failed']);
    }
    await desk.must('chief', 'removeWindow', { params, version: changed.version });
    expect((await desk.ask('chief', 'getWindow', { params })).status).toBe(404);
    expect(await windowNames()).not.toContain('Nuits courtes');
  });

  it('keeps its name to itself, and gives it back when it is removed', async () => {
    const made = await desk.must<MaintenanceWindow>('chief', 'createWindow', { body: nights });
    const again = await desk.ask('chief', 'createWindow', { body: { ...nights, name: 'NUITS' } });
    expect([again.status, again.body.code]).toEqual([409, 'already_exists']);
    await desk.must('chief', 'removeWindow', { params: { windowId: made.id }, version: made.version });
    const after = await desk.must<MaintenanceWindow>('chief', 'createWindow', { body: nights });
    await desk.must('chief', 'removeWindow', { params: { windowId: after.id }, version: after.version });
  });

  it('is refused with what is wrong and where', async () => {
    const body = { ...nights, rule: 'FREQ=HOURLY', timeZone: 'Europe/Paris', startCutOffMinutes: 10 };
    const refused = await desk.ask('chief', 'createWindow', { body });
    expect([refused.status, refused.body.code]).toEqual([400, 'invalid_request']);
    expect(refused.body.fields?.map(({ path, rule }) => [path, rule])).toEqual([
      ['/body/rule', 'too_often'],
      ['/body/startCutOffMinutes', 'cut_off_before_reserve'],
    ]);
  });

  it('may not be changed by people who only read', async () => {
    const refused = await desk.ask('reader', 'createWindow', { body: nights });
    expect([refused.status, refused.body.code]).toEqual([403, 'forbidden']);
  });
});

describe('a preview', () => {
  it('gives the next five in local time and UTC, and says which freeze takes what', async () => {
    const freeze = await desk.must<Freeze>('chief', 'createFreeze', { body: yearEnd });
    const weekly = { ...nights, rule: 'FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=14,15,20' };
    const { problems, occurrences } = await desk.must<WindowPreview>('reader', 'previewWindow', {
      body: { ...weekly, startTime: '06:00', durationMinutes: 720 },
    });
    expect(problems).toEqual([]);
    const byDay = Object.fromEntries(occurrences.map((entry) => [entry.start.local.slice(8, 10), entry]));
    expect(occurrences).toHaveLength(5);
    expect(byDay['14']?.cuts).toEqual([]);
    expect(byDay['15']?.pieces.map(({ start, end }) => [start.local.slice(11), end.local.slice(11)])).toEqual(
      [['06:00+01:00', '12:00+01:00']],
    );
    expect(byDay['15']?.cuts.map(({ name }) => name)).toEqual(['Fin d’année']);
    expect(byDay['20']?.pieces).toEqual([]);
    expect(byDay['20']?.start.at).toMatch(/-12-20T05:00:00\.000Z$/);
    await desk.must('chief', 'removeFreeze', { params: { freezeId: freeze.id }, version: freeze.version });
  });

  it('says what is wrong with a window or a freeze instead of refusing to answer', async () => {
    const window = await desk.must<WindowPreview>('reader', 'previewWindow', {
      body: { ...nights, rule: 'FREQ=DAILY;BYHOUR=3', siteId: '018f0000-0000-7000-8000-000000000000' },
    });
    expect(window).toEqual({
      problems: [
        { path: 'rule', code: 'unsupported_part', values: { part: 'BYHOUR' } },
        { path: 'siteId', code: 'no_such_site', values: {} },
      ],
      occurrences: [],
    });
    const when = { kind: 'once', startsAt: '2027-01-02T00:00:00.000Z', endsAt: '2027-01-01T00:00:00.000Z' };
    const freeze = await desk.must<WindowPreview>('reader', 'previewFreeze', { body: { ...yearEnd, when } });
    expect(freeze.problems).toEqual([{ path: 'when/endsAt', code: 'ends_before_start', values: {} }]);
  });
});

describe('the calendar', () => {
  it('holds windows and freezes between two instants, and says when a freeze takes a whole window', async () => {
    const when = { kind: 'once', startsAt: '2027-03-05T00:00:00.000Z', endsAt: '2027-03-09T00:00:00.000Z' };
    const body = { ...yearEnd, name: 'Bascule', siteId: desk.siteId, when };
    const freeze = await desk.must<Freeze>('chief', 'createFreeze', { body });
    const query = 'from=2027-03-01T00:00:00.000Z&to=2027-03-15T00:00:00.000Z';
    const calendar = await desk.must<Calendar>('reader', 'getCalendar', { query });
    const ours = calendar.windows.filter(({ siteId }) => siteId === desk.siteId);
    expect(ours.map(({ occurrence }) => [occurrence.start.local, occurrence.pieces.length])).toEqual([
      ['2027-03-06T20:00+01:00', 0],
      ['2027-03-13T20:00+01:00', 1],
    ]);
    expect(calendar.freezes).toMatchObject([{ name: 'Bascule', siteId: desk.siteId, ...timesOf(when) }]);
    expect(calendar.conflicts).toMatchObject([
      {
        code: 'window_frozen',
        at: '2027-03-06T19:00:00.000Z',
        values: { window: 'Siège · week-end', freeze: 'Bascule' },
      },
    ]);
    // The window of another site is none of that freeze's business.
    const others = calendar.windows.filter(({ siteId }) => siteId !== desk.siteId);
    expect(others.every(({ occurrence }) => occurrence.cuts.length === 0)).toBe(true);
    await desk.must('chief', 'removeFreeze', { params: { freezeId: freeze.id }, version: freeze.version });
  });

  it('refuses a range that is empty or longer than two months', async () => {
    for (const to of ['2027-03-01T00:00:00.000Z', '2027-06-01T00:00:00.000Z']) {
      const answer = await desk.ask('reader', 'getCalendar', {
        query: `from=2027-03-01T00:00:00.000Z&to=${to}`,
      });
      expect([answer.status, answer.body.fields?.[0]?.path]).toEqual([400, '/query/to']);
    }
  });
});

describe('the timeline', () => {
  const span = 'from=2027-03-01T00:00:00.000Z&to=2027-03-15T00:00:00.000Z';
  const ask = (who: string, query: string) =>
    desk.must<Timeline>(who, 'getTimeline', { query: `${span}&${query}` });

  it('has a lane for each group and one for the other hosts, opens to hosts by pages, and names what cannot be at once', async () => {
    const { id: policyId } = await desk.must<MaintenancePolicy>('chief', 'createMaintenancePolicy', {
      body: monthly,
    });
    const hostIds = await Promise.all(['a-1', 'a-2', 'b-1'].map((name) => desk.host(name)));
    const pair = { name: 'Paire', description: '', hostIds: hostIds.slice(0, 2), ordered: false };
    const group = await desk.must<Group>('chief', 'createGroup', {
      body: { ...pair, budget: { kind: 'max_unavailable', hosts: 1 } },
    });
    const times = { notBefore: '2027-03-02T20:00:00.000Z', notAfter: '2027-03-03T04:00:00.000Z' };
    for (const hostId of hostIds.slice(0, 2))
      await desk.plan('chief', desk.request(policyId, [hostId], times));
    const byGroup = await ask('reader', 'by=group');
    expect(byGroup.lanes).toMatchObject([
      {
        kind: 'group',
        id: group.id,
        name: 'Paire',
        hosts: 2,
        maxDown: 1,
        works: [{ hosts: 1 }, { hosts: 1 }],
      },
      { kind: 'group', id: null, name: null, hosts: 1, works: [] },
    ]);
    expect(byGroup.works).toMatchObject([
      { runId: null, state: 'planned', startsAt: times.notBefore, endsAt: times.notAfter },
      { runId: null },
    ]);
    // Nothing was ever run here: what is foretold are the limits of the steps, and an end all the same.
    expect(byGroup.works[0]?.expectedEnd).not.toBeNull();
    expect(byGroup.conflicts).toMatchObject([
      { code: 'group_members', groupId: group.id, values: { group: 'Paire' } },
    ]);
    const first = await ask('reader', `by=host&groupId=${group.id}&limit=1`);
    expect(first.lanes).toMatchObject([
      { kind: 'host', name: 'a-1', works: [{ hosts: 1, wave: 1, hostState: null }] },
    ]);
    const second = await ask(
      'reader',
      `by=host&groupId=${group.id}&limit=1&cursor=${first.nextCursor ?? ''}`,
    );
    expect([second.lanes.map(({ name }) => name), second.nextCursor]).toEqual([['a-2'], null]);
    expect((await ask('reader', 'by=host&ungrouped=yes')).lanes).toMatchObject([{ name: 'b-1', works: [] }]);
    const sites = await ask('reader', `by=site&limit=1`);
    expect(sites.lanes).toHaveLength(1);
    const stray = await desk.ask('reader', 'getTimeline', {
      query: `${span}&by=group&cursor=${sites.nextCursor ?? ''}`,
    });
    expect([stray.status, stray.body.fields?.[0]?.path]).toEqual([400, '/query/cursor']);
  });
});

function timesOf({ startsAt, endsAt }: { startsAt: string; endsAt: string }) {
  return { startsAt, endsAt };
}
