import type { LiveEvent } from '#contract/tenants.ts';
import type { SealedHead, Sealer } from '../../platform/audit/sealer.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db, TenantTx } from '../../platform/db.ts';
import type { Logger } from '../../platform/log.ts';

interface NewsDeps {
  readonly db: Db;
  readonly clock: Clock;
  readonly log: Logger;
  readonly sealer: Sealer;
  readonly emit: (tx: TenantTx, event: Pick<LiveEvent, 'type' | 'subjectId' | 'data'>) => Promise<void>;
}

// A busy log signs dozens of checkpoints a second; a screen needs to hear of the newest one.
const tellEveryMs = 2000;

/** Tells screens that a log has grown, at most every two seconds for each tenant. */
export function tellCheckpoints({ db, clock, log, sealer, emit }: NewsDeps): void {
  const waiting = new Map<string, number>();
  const tell = async (tenantId: string): Promise<void> => {
    await clock.sleep(tellEveryMs);
    const size = waiting.get(tenantId) ?? 0;
    waiting.delete(tenantId);
    await db.inTenant(tenantId, (tx) =>
      emit(tx, { type: 'audit.checkpoint', subjectId: null, data: { size } }),
    );
  };
  sealer.onSealed((heads: readonly SealedHead[]) => {
    for (const { tenantId, size } of heads) {
      const isTold = waiting.has(tenantId);
      waiting.set(tenantId, size);
      if (isTold) continue;
      tell(tenantId).catch((error: unknown) =>
        log.debug({ err: error, tenantId }, 'a new checkpoint was not told'),
      );
    }
  });
}
