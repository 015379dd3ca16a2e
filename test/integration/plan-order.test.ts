import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DependencyKind, Group } from '#contract/groups.ts';
import type { MaintenancePolicy, PlanDetail, PlanPreview } from '#contract/plans.ts';
import { monthly, ReleaseDesk } from '../harness/release-desk.ts';

let desk: ReleaseDesk;
let policyId: string;

beforeAll(async () => {
  desk = await ReleaseDesk.open({ chief: ['tenant_admin'], olga: ['operator'] });
  const waves = { ...monthly.waves, firstSize: 10, size: 10 };
  ({ id: policyId } = await desk.must<MaintenancePolicy>('olga', 'createMaintenancePolicy', {
    body: { ...monthly, waves },
  }));
}, 120_000);

afterAll(() => desk.close());

async function hostsOf(...names: string[]): Promise<string[]> {
  const hosts: string[] = [];
  for (const name of names) hosts.push(await desk.host(name));
  return hosts;
}

const group = (name: string, hostIds: readonly string[], over = {}) =>
  desk.must<Group>('olga', 'createGroup', {
    body: {
      ...{ name, description: '', hostIds, ordered: false },
      budget: { kind: 'max_unavailable', hosts: 1 },
      ...over,
    },
  });
const depends = (dependentHostId: string, kind: DependencyKind, providerHostId: string) =>
  desk.must('olga', 'createHostDependency', { body: { dependentHostId, providerHostId, kind } });
const preview = (hostIds: readonly string[]) =>
  desk.must<PlanPreview>('olga', 'previewPlan', { body: desk.request(policyId, hostIds) });
const places = ({ hosts }: PlanPreview) =>
  hosts.map(({ hostname, wave, placement }) => `${wave} ${hostname} ${placement?.code}`);

describe('a plan of hosts that stand in for each other', () => {
  it('takes them one after the other, the guest before its hypervisor, the one of ATLAS last, and says why', async () => {
    const hosts = await hostsOf('dc-1', 'dc-2', 'app-1', 'hv-1');
    const [dc1 = '', dc2 = '', app1 = '', hv1 = ''] = hosts;
    await group('Annuaire', [dc1, dc2]);
    await depends(app1, 'service_after_provider', dc1);
    await depends(dc1, 'guest_before_hypervisor', hv1);
    await desk.must('olga', 'updateHost', {
      params: { hostId: hv1 },
      body: { carriesAtlas: true },
      version: 1,
    });
    const shown = await preview(hosts);
    expect(shown.refusals).toEqual([]);
    expect(places(shown)).toEqual([
      '1 dc-1 first_free_place',
      '2 app-1 after_host',
      '2 dc-2 group_budget',
      '3 hv-1 atlas_last',
    ]);
    expect(shown.hosts[2]?.placement?.values).toEqual({
      group: 'Annuaire',
      host: 'dc-1',
      wave: 1,
      maxDown: 1,
    });
  });

  it('stays as it was made, whatever becomes of the group', async () => {
    const hosts = await hostsOf('sql-1', 'sql-2');
    const { id, version } = await group('Base', hosts);
    const made = await desk.must<PlanDetail>('olga', 'createPlan', { body: desk.request(policyId, hosts) });
    expect(places(made.preview)).toEqual(['1 sql-1 first_free_place', '2 sql-2 group_budget']);
    await desk.must('olga', 'removeGroup', { params: { groupId: id }, version });
    expect(await desk.must('olga', 'getPlan', { params: { planId: made.plan.id } })).toEqual(made);
    const [row] = await desk.query<{ document: Buffer }>('select document from plans where id = $1', [
      made.plan.id,
    ]);
    const { targets } = JSON.parse(row?.document.toString('utf8') ?? '') as { targets: { wave: number }[] };
    expect(targets.map(({ wave }) => wave)).toEqual([1, 2]);
    expect(places(await preview(hosts))).toEqual(['1 sql-1 first_free_place', '1 sql-2 first_free_place']);
  });

  it('is refused when dependencies go in a circle, which is written out host by host', async () => {
    const hosts = await hostsOf('ring-a', 'ring-b', 'ring-c', 'free');
    const [a = '', b = '', c = ''] = hosts;
    await depends(b, 'service_after_provider', a);
    await depends(c, 'service_after_provider', b);
    await depends(a, 'service_after_provider', c);
    const shown = await preview(hosts);
    expect(shown.refusals).toEqual([
      {
        code: 'dependency_cycle',
        hostIds: [a, b, c],
        values: { path: 'ring-a → ring-b → ring-c → ring-a', hosts: 3 },
      },
    ]);
    expect(shown.hosts.filter(({ included }) => included).map(({ hostname }) => hostname)).toEqual(['free']);
    const before = await desk.query('select id from plans');
    const { status, body } = await desk.ask('olga', 'createPlan', { body: desk.request(policyId, hosts) });
    expect([status, body.code]).toEqual([409, 'plan_impossible']);
    expect(body.fields?.map(({ path, rule }) => `${path} ${rule}`)).toEqual(
      [0, 1, 2].map((index) => `/body/hostIds/${index} dependency_cycle`),
    );
    expect(await desk.query('select id from plans')).toEqual(before);
  });

  it('is refused when the group demands that all of it stays up', async () => {
    const hosts = await hostsOf('duo-1', 'duo-2');
    await group('Duo', hosts, { budget: { kind: 'min_up', hosts: 2 } });
    const { refusals } = await preview([hosts[0] ?? '']);
    expect(refusals?.map(({ code, values }) => [code, values.group, values.members])).toEqual([
      ['group_too_small', 'Duo', 2],
    ]);
    const { status } = await desk.ask('olga', 'createPlan', { body: desk.request(policyId, hosts) });
    expect(status).toBe(409);
  });
});
