import type { Notice, NoticeSettings, NoticeSettingsBody } from '#contract/notices.ts';
import type { TenantTx } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import { actorOf, type TenantActor } from '../../platform/http/caller.ts';
import { recordOf, type AnnouncedRun, type NoticesDeps } from './notices.deps.ts';
import { endWhenAllHave } from './notices.ending.ts';
import type { NoticeFacts } from './notices.mail.ts';
import { noticeDueMs } from './notices.policy.ts';
import * as repository from './notices.repository.ts';

/** Why an announced run does not take place as it was announced. */
export interface TakenBack {
  readonly kind: 'cancelled' | 'postponed' | 'missed';
  readonly reason: string | null;
  /** Beginning of the plan that takes its place. */
  readonly nextNotBefore?: string;
}

/** Who is told, and what there is to tell. The relay does the telling. */
export class NoticesService {
  readonly #deps: NoticesDeps;

  constructor(deps: NoticesDeps) {
    this.#deps = deps;
  }

  async settings(tenantId: string): Promise<NoticeSettings> {
    const settings = await this.#deps.db.inTenant(tenantId, repository.getSettings);
    return { ...settings, mailOn: this.#deps.mailer !== null };
  }

  /** Errors: precondition_failed, invalid_request for a site that is not here or an address named twice for it. */
  async updateSettings(
    actor: TenantActor,
    version: number,
    body: NoticeSettingsBody,
  ): Promise<NoticeSettings> {
    await this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      await this.#check(tx, body);
      if (!(await repository.saveSettings(tx, body, version))) throw new AppError('precondition_failed');
      await this.#deps.audit.record(tx, {
        action: 'notice_settings.updated',
        ...actorOf(actor),
        subjectType: 'tenant',
        subjectId: actor.tenantId,
        outcome: 'ok',
        digest: null,
        // Addresses are personal data: the log keeps how many there are.
        details: { roles: [...body.roles], addresses: body.addresses.length },
      });
    });
    return this.settings(actor.tenantId);
  }

  /** Oldest first. */
  async list(tenantId: string, planId: string): Promise<{ items: Notice[]; mailOn: boolean }> {
    const items = await this.#deps.db.inTenant(tenantId, (tx) => repository.listNotices(tx, planId));
    return { items, mailOn: this.#deps.mailer !== null };
  }

  /** Says that a run was released, in the transaction that releases it: people are told seven days ahead, or at once. */
  async announce(tx: TenantTx, run: AnnouncedRun): Promise<void> {
    const { sites, runNumber, tenantName } = await repository.surroundings(tx, run);
    const kind = run.emergency === null ? 'planned' : 'emergency';
    await this.#create(tx, run, {
      kind,
      facts: {
        ...{ title: run.title, tenantName, runNumber },
        ...{ notBefore: run.notBefore.toISOString(), notAfter: run.notAfter.toISOString() },
        timeZone: sites[0]?.timeZone ?? 'UTC',
        siteIds: sites.map(({ id }) => id),
        siteNames: sites.map(({ name }) => name),
        hosts: run.hostIds.length,
        reason: run.emergency,
        nextNotBefore: null,
      },
    });
  }

  /**
   * Says that an announced run does not take place, in the transaction in which it is decided.
   * Who was told is told; what nobody was told yet is not sent any more.
   */
  async takeBack(tx: TenantTx, runId: string, taken: TakenBack): Promise<void> {
    const at = new Date(this.#deps.clock.now());
    for (const notice of await repository.lockAnnouncements(tx, runId)) {
      if (notice.state === 'waiting') {
        await repository.saveNotice(tx, notice.id, { state: 'superseded', endedAt: at });
        const details = { kind: notice.kind, why: taken.kind };
        await recordOf(this.#deps, tx, { action: 'notice.superseded', outcome: 'ok', notice, details });
        continue;
      }
      await repository.withdrawMails(tx, notice.id, at);
      await endWhenAllHave(this.#deps, tx, notice);
      if ((await repository.toldOf(tx, runId)).length === 0) continue;
      const { reason, nextNotBefore = null } = taken;
      await this.#create(tx, notice, { kind: taken.kind, facts: { ...notice.facts, reason, nextNotBefore } });
    }
  }

  async #create(
    tx: TenantTx,
    run: { readonly planId: string; readonly runId: string },
    { kind, facts }: { readonly kind: Notice['kind']; readonly facts: NoticeFacts },
  ): Promise<void> {
    const nowMs = this.#deps.clock.now();
    const dueAt = new Date(noticeDueMs(kind, { notBeforeMs: Date.parse(facts.notBefore), nowMs }));
    const notice = { id: this.#deps.newId(), planId: run.planId, runId: run.runId, kind, facts, dueAt };
    if (!(await repository.createNotice(tx, notice))) return;
    const details = { kind, dueAt: dueAt.toISOString() };
    await recordOf(this.#deps, tx, { action: 'notice.created', outcome: 'ok', notice, details });
  }

  async #check(tx: TenantTx, { addresses }: NoticeSettingsBody): Promise<void> {
    const named = addresses.flatMap(({ siteId }) => (siteId === null ? [] : [siteId]));
    const absent = await repository.absentSites(tx, named);
    const seen = new Set<string>();
    const fields = addresses.flatMap(({ address, siteId }, index) => {
      const path = `/body/addresses/${index}`;
      if (siteId !== null && absent.has(siteId))
        return [{ path: `${path}/siteId`, rule: 'exists', message: 'there is no such site here' }];
      const key = `${siteId ?? ''} ${address.toLowerCase()}`;
      if (seen.has(key))
        return [{ path: `${path}/address`, rule: 'unique', message: 'this address is named already' }];
      seen.add(key);
      return [];
    });
    if (fields.length > 0) throw new AppError('invalid_request', { fields });
  }
}
