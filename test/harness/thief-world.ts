import { expect, vi } from 'vitest';
import type { MaintenancePolicy } from '#contract/plans.ts';
import type { ReleaseDetail } from '#contract/releases.ts';
import { recordInventory } from '../../server/src/features/fleet/fleet.repository.ts';
import { RecordedAgent } from './recorded-agent.ts';
import { inventory, monthly, ReleaseDesk } from './release-desk.ts';
import { Thief } from './thief.ts';

export const patience = { timeout: 30_000, interval: 50 };

/** The whole server with its listeners, people who plan and sign, one real agent, and somebody who has stolen everything. */
export class ThiefWorld {
  readonly desk: ReleaseDesk;
  readonly agent: RecordedAgent;
  readonly thief: Thief;
  readonly #policyId: string;

  private constructor(desk: ReleaseDesk, agent: RecordedAgent, policyId: string) {
    this.desk = desk;
    this.agent = agent;
    this.thief = new Thief(desk);
    this.#policyId = policyId;
  }

  static async open(): Promise<ThiefWorld> {
    const people = {
      chief: ['tenant_admin'],
      olga: ['operator'],
      alice: ['approver'],
      bernard: ['approver'],
      claire: ['approver'],
    } as const;
    const desk = await ReleaseDesk.open(people, { roles: 'api,worker,agents' });
    for (const name of ['alice', 'bernard', 'claire']) await desk.enrolKey(name);
    await desk.publish('chief');
    const { token } = await desk.must<{ token: string }>('chief', 'createEnrolmentToken', {
      body: { siteId: desk.siteId, expiresInMinutes: 10 },
    });
    const agent = await RecordedAgent.enrol(token);
    await agent.start();
    // The agent tells that there is no package manager; what it would find on a host with one is told after it.
    await vi.waitFor(async () => {
      const facts = await desk.query('select 1 from host_facts where host_id = $1', [agent.hostId]);
      expect(facts).toHaveLength(1);
    }, patience);
    const found = inventory('victim', { collectedAt: new Date().toISOString() });
    await desk.server.platform.db.inTenant(desk.tenantId, (tx) => recordInventory(tx, agent.hostId, found));
    const policy = await desk.must<MaintenancePolicy>('olga', 'createMaintenancePolicy', {
      body: { ...monthly, waves: { ...monthly.waves, pauseS: 0 } },
    });
    return new ThiefWorld(desk, agent, policy.id);
  }

  async close(): Promise<void> {
    await this.thief.stop();
    await this.agent.remove();
    await this.desk.close();
  }

  /** A plan for these hosts, signed by these people one after the other. */
  async release(
    hostIds: readonly string[],
    signers: readonly string[],
    lifeMs = 3_600_000,
  ): Promise<ReleaseDetail> {
    const { desk } = this;
    const notAfter = new Date(Date.now() + lifeMs).toISOString();
    const { plan } = await desk.plan('olga', desk.request(this.#policyId, hostIds, { notAfter }));
    const drafted = await desk.draft('olga', plan.id);
    expect(drafted.status).toBe(201);
    let last = drafted.body;
    for (const name of signers) {
      const answer = await desk.sign(name, last);
      expect(answer.status, JSON.stringify(answer.body)).toBe(201);
      last = answer.body;
    }
    return last;
  }

  /** Codes of the results that the server holds of the orders of a run, in order. */
  async codesOf(runId: string): Promise<string[]> {
    const rows = await this.desk.query<{ code: string }>(
      'select r.code from command_results r join commands c on c.id = r.command_id where c.run_id = $1 order by r.seq',
      [runId],
    );
    return rows.map(({ code }) => code);
  }

  /** The state in which a run has ended. */
  async endedRun(runId: string): Promise<string> {
    return vi.waitFor(async () => {
      const [run] = await this.desk.query<{ state: string; ended_at: Date | null }>(
        'select state, ended_at from runs where id = $1',
        [runId],
      );
      expect(run?.ended_at).toBeInstanceOf(Date);
      return run?.state ?? '';
    }, patience);
  }
}
