import { expect, vi } from 'vitest';
import type { PlanDetail } from '#contract/plans.ts';
import type { Freeze, MaintenanceWindow } from '#contract/windows.ts';
import { nights, yearEnd, type ReleaseDesk } from './release-desk.ts';

/** Two people release a plan that chief asked for. */
export async function approve(desk: ReleaseDesk, planId: string): Promise<{ runId: string }> {
  const { body } = await desk.draft('chief', planId);
  await desk.sign('alice', body);
  return { runId: (await desk.sign('bernard', body)).body.release.runId };
}

/** A released run in a night that is more than three days away, whatever the time of day now. */
export async function releaseNight(
  desk: ReleaseDesk,
  { policyId, hostId, name }: { readonly policyId: string; readonly hostId: string; readonly name: string },
): Promise<{ runId: string }> {
  const window = { ...nights, name };
  const { id: windowId } = await desk.must<MaintenanceWindow>('chief', 'createWindow', { body: window });
  const until = new Date(Date.now() + 3.5 * 86_400_000).toISOString();
  const when = { kind: 'once', startsAt: new Date().toISOString(), endsAt: until };
  const body = { ...yearEnd, name: `Gel, ${name}`, when };
  const freeze = await desk.must<Freeze>('chief', 'createFreeze', { body });
  const request = { policyId, title: 'Nuit', hostIds: [hostId], windowIds: [windowId] };
  const { plan } = await desk.must<PlanDetail>('chief', 'createPlan', { body: request });
  await desk.must('chief', 'removeFreeze', { params: { freezeId: freeze.id }, version: freeze.version });
  return approve(desk, plan.id);
}

/** Resolves once the run has ended. */
export function runEnds(desk: ReleaseDesk, runId: string): Promise<void> {
  return vi.waitFor(
    async () => {
      const [run] = await desk.query('select 1 from runs where id = $1 and ended_at is not null', [runId]);
      expect(run).toBeDefined();
    },
    { timeout: 20_000, interval: 50 },
  );
}

/** The time of a run goes by while nobody looks. */
export async function missRun(desk: ReleaseDesk, runId: string): Promise<void> {
  await desk.query(
    `update runs set not_before = now() - interval '2 hours', start_by = now() - interval '1 hour', deadline_at = now()
     where id = $1`,
    [runId],
  );
  await runEnds(desk, runId);
}
