import type { Notice } from '#contract/notices.ts';
import type { TenantTx } from '../../platform/db.ts';
import { recordOf, type NoticesDeps } from './notices.deps.ts';
import { noticeEnd } from './notices.policy.ts';
import * as repository from './notices.repository.ts';
import type { NoticeRow } from './notices.repository.ts';

type EndingDeps = Pick<NoticesDeps, 'audit' | 'emit' | 'clock'>;

/** Writes how a notice ended, with its entry. */
export async function endNotice(
  deps: EndingDeps,
  tx: TenantTx,
  end: {
    readonly notice: NoticeRow;
    readonly state: Notice['state'];
    readonly counts: Record<string, unknown>;
  },
): Promise<void> {
  const { notice, state, counts } = end;
  await repository.saveNotice(tx, notice.id, { state, endedAt: new Date(deps.clock.now()) });
  const details = { kind: notice.kind, state, ...counts };
  const outcome = state === 'sent' || state === 'superseded' ? 'ok' : 'failed';
  await recordOf(deps, tx, { action: 'notice.ended', outcome, notice, details });
}

/** Ends a notice whose last mail has ended. The caller holds its row, so that of two last mails one sees both. */
export async function endWhenAllHave(deps: EndingDeps, tx: TenantTx, notice: NoticeRow): Promise<void> {
  if (notice.state !== 'sending') return;
  const counts = await repository.countMails(tx, notice.id);
  const of = (state: Parameters<typeof counts.get>[0]): number => counts.get(state) ?? 0;
  const ended = { sent: of('sent'), failed: of('failed'), withdrawn: of('withdrawn') };
  const state = noticeEnd({ ...ended, open: of('waiting') + of('sending') });
  if (state !== null) await endNotice(deps, tx, { notice, state, counts: ended });
}
