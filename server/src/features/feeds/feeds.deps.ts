import type { ApproverKey } from '#contract/trust.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db, TenantTx } from '../../platform/db.ts';
import type { NewId } from '../../platform/ids.ts';
import type { CalendarService } from '../calendar/calendar.module.ts';

/** What the feeds need of the others; main.ts hands it over. */
export interface FeedsDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly clock: Clock;
  readonly newId: NewId;
  /** Origin of the people's listener, without a slash at the end. */
  readonly publicUrl: string;
  readonly calendar: Pick<CalendarService, 'calendar'>;
  /** Keys of a person in the policy document in force. */
  readonly trust: { readonly keysOfPerson: (tx: TenantTx, personId: string) => Promise<ApproverKey[]> };
}
