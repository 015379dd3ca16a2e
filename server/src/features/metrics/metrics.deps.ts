import type { Clock } from '../../platform/clock.ts';
import type { Db } from '../../platform/db.ts';
import type { Metrics } from '../../platform/http/metrics.ts';
import type { Logger } from '../../platform/log.ts';
import type { Retention } from './rings.policy.ts';

/** What the metrics feature needs of others; main.ts hands it over. */
export interface MetricsDeps {
  readonly db: Db;
  readonly clock: Clock;
  readonly log: Logger;
  /** Where the site's monitoring sees what was stored and what was shed. */
  readonly metrics: Pick<Metrics, 'gauge'>;
  readonly retention: Retention;
  /** Samples that wait for the database at most; 60,000 when absent: a minute of as many hosts, about 10 MB. */
  readonly maxWaiting?: number;
}
