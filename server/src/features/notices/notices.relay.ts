import type { TenantTx } from '../../platform/db.ts';
import type { Mailer, MailOutcome } from '../../platform/mailer.ts';
import { Ticker } from '../../platform/ticker.ts';
import { recordOf, type NoticesDeps } from './notices.deps.ts';
import { endNotice, endWhenAllHave } from './notices.ending.ts';
import { mailOf } from './notices.mail.ts';
import { eachOnce, nextAttemptMs, type Wanted } from './notices.policy.ts';
import * as repository from './notices.repository.ts';
import type { ClaimedMail, NoticeRow } from './notices.repository.ts';

const tickMs = 2_000;
const mailsAtOnce = 4;
/** Longer than any conversation with the relay may last. */
const leaseMs = 10 * 60_000;

/** Sends what is due. Several processes may do so at once: a mail is leased before a word is said. */
export class NoticesRelay {
  readonly #deps: NoticesDeps;
  readonly #ticker: Ticker;

  constructor(deps: NoticesDeps) {
    this.#deps = deps;
    this.#ticker = new Ticker(deps, {
      everyMs: tickMs,
      tick: () => this.tick(),
      complaint: 'the relay of notices met an error and goes on',
    });
  }

  start(): void {
    this.#ticker.start();
  }

  async stop(): Promise<void> {
    await this.#ticker.stop();
  }

  /** One turn: notices whose time has come get their mails, and mails that are due one attempt each. */
  async tick(): Promise<void> {
    const { db, clock, mailer } = this.#deps;
    const now = new Date(clock.now());
    for (const { id, tenantId } of await db.inSystem('notices.due', (tx) => repository.listDue(tx, now)))
      await db.inTenant(tenantId, (tx) => this.#begin(tx, id));
    if (mailer === null) return;
    await db.inSystem('notices.returnLost', (tx) => repository.returnLost(tx, now));
    for (let claimed = mailsAtOnce; claimed === mailsAtOnce && !this.#ticker.stopping.aborted;)
      claimed = await this.#sendSome(mailer);
  }

  async #sendSome(mailer: Mailer): Promise<number> {
    const { db, clock } = this.#deps;
    const nowMs = clock.now();
    const claim = { now: new Date(nowMs), leaseUntil: new Date(nowMs + leaseMs), limit: mailsAtOnce };
    const mails = await db.inSystem('notices.claim', (tx) => repository.claimMails(tx, claim));
    await Promise.all(mails.map((mail) => this.#send(mailer, mail)));
    return mails.length;
  }

  /** Names the people. What was superseded meanwhile is left alone. */
  async #begin(tx: TenantTx, noticeId: string): Promise<void> {
    const { clock, mailer, newId } = this.#deps;
    const notice = await repository.lockNotice(tx, noticeId);
    if (notice.state !== 'waiting') return;
    const now = new Date(clock.now());
    const coming = notice.kind === 'planned' || notice.kind === 'emergency';
    // Nobody was there to send it in time: news of what is over would mislead.
    const tooLate = coming && now.getTime() >= Date.parse(notice.facts.notAfter);
    if (mailer === null || tooLate) {
      const state = mailer === null ? 'mail_off' : 'failed';
      return endNotice(this.#deps, tx, { notice, state, counts: { tooLate } });
    }
    const { people, withoutAddress } = await this.#recipients(tx, notice);
    const mails = people.map((one) => ({ ...one, id: newId(), nextAttemptAt: now }));
    await repository.createMails(tx, noticeId, mails);
    await repository.saveNotice(tx, noticeId, { state: 'sending', withoutAddress });
    if (mails.length === 0)
      return endNotice(this.#deps, tx, { notice, state: 'nobody', counts: { withoutAddress } });
    await this.#deps.emit(tx, {
      type: 'notice.changed',
      subjectId: noticeId,
      data: { planId: notice.planId, runId: notice.runId },
    });
  }

  /** Who was told of a run is told that it changes; who is told first comes from the settings as they are now. */
  async #recipients(
    tx: TenantTx,
    { kind, runId, facts }: NoticeRow,
  ): Promise<{ readonly people: Wanted[]; readonly withoutAddress: number }> {
    if (kind !== 'planned' && kind !== 'emergency')
      return { people: eachOnce(await repository.toldOf(tx, runId)), withoutAddress: 0 };
    const { roles, addresses } = await repository.getSettings(tx);
    const members = await repository.membersOf(tx, roles);
    const reachable = members.flatMap(({ address, ...one }) =>
      address === null ? [] : [{ ...one, address }],
    );
    const listed = addresses
      .filter(({ siteId }) => siteId === null || facts.siteIds.includes(siteId))
      .map(({ address, locale }) => ({ personId: null, address, locale }));
    return {
      people: eachOnce([...reachable, ...listed]),
      withoutAddress: members.length - reachable.length,
    };
  }

  async #send(mailer: Mailer, mail: ClaimedMail): Promise<void> {
    const { db, clock } = this.#deps;
    const notice = await db.inTenant(mail.tenantId, (tx) => this.#stillWanted(tx, mail));
    if (notice === null) return;
    const about = { ...notice, createdAtMs: notice.createdAt.getTime(), from: mailer.from };
    const outcome = await mailer.send(mailOf(about, mail, clock.now()));
    await db.inTenant(mail.tenantId, (tx) => this.#note(tx, mail, outcome));
  }

  /** The notice, or null when it was taken back while this mail waited: nobody hears of it any more. */
  async #stillWanted(tx: TenantTx, mail: ClaimedMail): Promise<NoticeRow | null> {
    const notice = await repository.lockNotice(tx, mail.noticeId);
    const coming = notice.kind === 'planned' || notice.kind === 'emergency';
    if (!coming || !(await repository.isTakenBack(tx, notice.runId))) return notice;
    await repository.saveAttempt(tx, mail, {
      ...{ state: 'withdrawn', reply: null, nextAttemptAt: null, answerLost: false },
      endedAt: new Date(this.#deps.clock.now()),
    });
    await endWhenAllHave(this.#deps, tx, notice);
    return null;
  }

  async #note(tx: TenantTx, mail: ClaimedMail, outcome: MailOutcome): Promise<void> {
    // Held still, so that of two mails that end together one sees that both have.
    const notice = await repository.lockNotice(tx, mail.noticeId);
    const nowMs = this.#deps.clock.now();
    const nextMs = outcome.kind === 'later' ? nextAttemptMs(mail.attempts, nowMs) : null;
    const state = outcome.kind === 'sent' ? 'sent' : nextMs === null ? 'failed' : 'waiting';
    const saved = await repository.saveAttempt(tx, mail, {
      ...{ state, reply: outcome.reply },
      nextAttemptAt: nextMs === null ? null : new Date(nextMs),
      endedAt: state === 'waiting' ? null : new Date(nowMs),
      answerLost: outcome.kind === 'later' && outcome.answerLost,
    });
    if (!saved) return;
    if (state !== 'waiting') {
      const { id, personId, attempts } = mail;
      const details = { mailId: id, personId, attempts, reply: outcome.reply.slice(0, 3) };
      const result = state === 'sent' ? 'ok' : 'failed';
      await recordOf(this.#deps, tx, { action: 'notice.mail_ended', outcome: result, notice, details });
    }
    await endWhenAllHave(this.#deps, tx, notice);
  }
}
