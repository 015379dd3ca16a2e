import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Group, HostDependency, HostRelations } from '#contract/groups.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { ReleaseDesk } from '../harness/release-desk.ts';

let desk: ReleaseDesk;
let hosts: string[];
let foreignHost: string;

beforeAll(async () => {
  desk = await ReleaseDesk.open({ olga: ['operator'], lecteur: ['auditor'] });
  hosts = [
    await desk.host('dc-1'),
    await desk.host('dc-2'),
    await desk.host('dc-3'),
    await desk.host('hv-1'),
  ];
  const other = await desk.server.tenant('voisin');
  foreignHost = newId();
  await desk.query(
    `insert into hosts (id, tenant_id, site_id, hostname, machine_id, health_checks) values ($1, $2, $3, 'elsewhere', $4, '[]')`,
    [foreignHost, other.tenantId, other.siteId, 'e'.repeat(64)],
  );
}, 120_000);

afterAll(() => desk.close());

const body = (name: string, hostIds: readonly (string | undefined)[], over = {}) => ({
  ...{ name, description: '', hostIds, ordered: false },
  budget: { kind: 'max_unavailable', hosts: 1 },
  ...over,
});
const groups = () => desk.must<{ items: Group[]; total: number }>('olga', 'listGroups');

describe('a group', () => {
  it('is made, read, listed, changed over its version and removed', async () => {
    const made = await desk.must<Group>('olga', 'createGroup', {
      body: body('Annuaire', [hosts[2], hosts[0], hosts[1]], { ordered: true }),
    });
    expect(made.members.map(({ hostname }) => hostname)).toEqual(['dc-3', 'dc-1', 'dc-2']);
    expect(made).toMatchObject({ maxDown: 1, ordered: true, version: 1 });
    const params = { groupId: made.id };
    expect(await desk.must('lecteur', 'getGroup', { params })).toEqual(made);
    expect((await groups()).items.map(({ name }) => name)).toContain('Annuaire');

    const change = body('Annuaire', [hosts[0], hosts[1]], { budget: { kind: 'min_up', hosts: 1 } });
    const changed = await desk.must<Group>('olga', 'updateGroup', { params, body: change, version: 1 });
    expect(changed).toMatchObject({ version: 2, maxDown: 1, budget: { kind: 'min_up', hosts: 1 } });
    expect(changed.members.map(({ hostname }) => hostname)).toEqual(['dc-1', 'dc-2']);
    const late = await desk.ask('olga', 'updateGroup', { params, body: change, version: 1 });
    expect([late.status, late.body.code]).toEqual([412, 'precondition_failed']);
    expect((await desk.ask('olga', 'updateGroup', { params, body: change })).status).toBe(428);

    expect((await desk.ask('olga', 'removeGroup', { params, version: 1 })).status).toBe(412);
    expect((await desk.ask('olga', 'removeGroup', { params, version: 2 })).status).toBe(204);
    expect((await desk.ask('olga', 'getGroup', { params })).status).toBe(404);
    const entries = await desk.query<{ action: string }>(
      `select action from audit_entries where subject_id = $1 order by entry_id`,
      [made.id],
    );
    expect(entries.map(({ action }) => action)).toEqual(['group.created', 'group.updated', 'group.removed']);
  });

  it('says what is wrong and where: a host twice, one of another tenant, a budget larger than the group', async () => {
    const bad = await desk.ask('olga', 'createGroup', {
      body: body('Mauvais', [hosts[0], hosts[1], hosts[0], foreignHost], {
        budget: { kind: 'min_up', hosts: 4 },
      }),
    });
    expect([bad.status, bad.body.code]).toEqual([400, 'invalid_request']);
    expect(bad.body.fields?.map(({ path, rule }) => `${path} ${rule}`)).toEqual([
      '/body/hostIds/2 unique',
      '/body/hostIds/3 exists',
      '/body/budget/hosts at_most_members',
    ]);
    const before = (await groups()).total;
    expect(before).toBe(0);
  });

  it('has a name of its own', async () => {
    await desk.must('olga', 'createGroup', { body: body('Base', [hosts[0]]) });
    const twin = await desk.ask('olga', 'createGroup', { body: body('BASE', [hosts[1]]) });
    expect([twin.status, twin.body.code, twin.body.fields?.[0]?.path]).toEqual([
      409,
      'already_exists',
      '/body/name',
    ]);
  });

  it('keeps its name to itself when two people give it to two groups at the same moment', async () => {
    const pair: Group[] = [];
    for (const name of ['Un', 'Deux'])
      pair.push(await desk.must<Group>('olga', 'createGroup', { body: body(name, [hosts[0]]) }));
    const answers = await Promise.all(
      pair.map(({ id, version }) =>
        desk.ask('olga', 'updateGroup', {
          ...{ params: { groupId: id }, version },
          body: body('Même nom', [hosts[0]]),
        }),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
  });

  it('is not changed by somebody who only reads', async () => {
    expect((await desk.ask('lecteur', 'createGroup', { body: body('Non', [hosts[0]]) })).status).toBe(403);
  });
});

describe('a dependency', () => {
  it('is made, changed over its version and removed; both hosts show it', async () => {
    const [guest, hypervisor] = [hosts[0] ?? '', hosts[3] ?? ''];
    const arrow = { dependentHostId: guest, providerHostId: hypervisor, kind: 'guest_before_hypervisor' };
    const made = await desk.must<HostDependency>('olga', 'createHostDependency', { body: arrow });
    expect(made).toMatchObject({ dependentHostname: 'dc-1', providerHostname: 'hv-1', version: 1 });
    const again = await desk.ask('olga', 'createHostDependency', { body: arrow });
    expect([again.status, again.body.code]).toEqual([409, 'already_exists']);
    for (const hostId of [guest, hypervisor]) {
      const { dependencies } = await desk.must<HostRelations>('lecteur', 'getHostRelations', {
        params: { hostId },
      });
      expect(dependencies).toEqual([made]);
    }
    const params = { dependencyId: made.id };
    const turned = { ...arrow, kind: 'guest_after_hypervisor' };
    const changed = await desk.must<HostDependency>('olga', 'updateHostDependency', {
      params,
      body: turned,
      version: 1,
    });
    expect([changed.kind, changed.version]).toEqual(['guest_after_hypervisor', 2]);
    expect((await desk.ask('olga', 'updateHostDependency', { params, body: arrow, version: 1 })).status).toBe(
      412,
    );
    expect((await desk.ask('olga', 'removeHostDependency', { params, version: 2 })).status).toBe(204);
    expect((await desk.must<{ total: number }>('olga', 'listHostDependencies')).total).toBe(0);
  });

  it('names the host that is not here and refuses one of a host on itself', async () => {
    const kind = 'service_after_provider';
    const foreign = await desk.ask('olga', 'createHostDependency', {
      body: { dependentHostId: hosts[0], providerHostId: foreignHost, kind },
    });
    expect(foreign.body.fields).toEqual([
      { path: '/body/providerHostId', rule: 'exists', message: 'there is no such host here' },
    ]);
    const itself = await desk.ask('olga', 'createHostDependency', {
      body: { dependentHostId: hosts[0], providerHostId: hosts[0], kind },
    });
    expect([itself.status, itself.body.fields?.[0]?.rule]).toEqual([400, 'other_host']);
  });
});

describe('a host', () => {
  it('shows its groups and whether ATLAS runs on it', async () => {
    const hostId = hosts[3] ?? '';
    await desk.must('olga', 'createGroup', { body: body('Hyperviseurs', [hostId]) });
    await desk.must('olga', 'updateHost', { params: { hostId }, body: { carriesAtlas: true }, version: 1 });
    const relations = await desk.must<HostRelations>('lecteur', 'getHostRelations', { params: { hostId } });
    expect(relations.carriesAtlas).toBe(true);
    expect(relations.groups.map(({ name }) => name)).toEqual(['Hyperviseurs']);
    const elsewhere = await desk.ask('olga', 'getHostRelations', { params: { hostId: foreignHost } });
    expect(elsewhere.status).toBe(404);
  });
});
