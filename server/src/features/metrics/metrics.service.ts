import type { HostMetrics } from '#contract/metrics.ts';
import { toInstant } from '../../platform/clock.ts';
import type { TenantTx } from '../../platform/db.ts';
import { AppError, found } from '../../platform/errors.ts';
import { Curve, frameOf, type Frame } from './curve.policy.ts';
import type { MetricsDeps } from './metrics.deps.ts';
import * as repository from './metrics.repository.ts';
import type { Day } from './packing.policy.ts';
import { firstKeptMinute, minuteOf, minutesPerDay, minutesPerHour } from './rings.policy.ts';
import type { Cell } from './tally.policy.ts';

const minuteMs = 60_000;

interface CurveWish {
  readonly from: string;
  readonly to: string;
  readonly step?: number | undefined;
}

/** Answers from the coarsest level that is fine enough: days, hours of days, packed hours, raw samples. */
export class MetricsService {
  readonly #deps: Pick<MetricsDeps, 'db' | 'clock' | 'retention'>;

  constructor(deps: Pick<MetricsDeps, 'db' | 'clock' | 'retention'>) {
    this.#deps = deps;
  }

  /** Measures of a host of the tenant. Errors: not_found, invalid_request when the time is empty or the step too short for it. */
  async get(tenantId: string, hostId: string, wish: CurveWish): Promise<HostMetrics> {
    const frame = frameOf(Date.parse(wish.from) / minuteMs, Date.parse(wish.to) / minuteMs, wish.step);
    if (frame === null) {
      const message = 'the time from `from` to `to` is empty, or holds too many steps';
      throw new AppError('invalid_request', { fields: [{ path: '/query/step', rule: 'points', message }] });
    }
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      found((await repository.hasHost(tx, hostId)) ? hostId : null);
      const curve = new Curve(frame);
      await this.#fill(tx, hostId, { curve, frame });
      const last = await repository.lastMinute(tx, hostId);
      return {
        from: toInstant(frame.from * minuteMs),
        to: toInstant(frame.to * minuteMs),
        stepS: frame.stepMinutes * 60,
        lastSampleAt: last === null ? null : toInstant(last * minuteMs),
        series: curve.series(),
      };
    });
  }

  async #fill(
    tx: TenantTx,
    hostId: string,
    { curve, frame }: { readonly curve: Curve; readonly frame: Frame },
  ): Promise<void> {
    const days =
      frame.stepMinutes < minutesPerHour
        ? new Map<number, Day | Cell>()
        : await this.#addDays(tx, hostId, { curve, frame });
    const hours = await repository.listHours(tx, hostId, { ...frame, butDays: [...days.keys()] });
    for (const [hour, samples] of hours) {
      for (const [minute, codes] of samples) curve.addSample(hour * minutesPerHour + minute, codes);
    }
    const raw = {
      from: Math.max(frame.from, firstKeptMinute(this.#deps.clock.now(), this.#deps.retention)),
      to: Math.min(frame.to, minuteOf(this.#deps.clock.now()) + minutesPerHour),
    };
    if (raw.from >= raw.to) return;
    for (const [minute, codes] of await repository.listSamples(tx, hostId, raw)) {
      const isPacked =
        hours.has(Math.floor(minute / minutesPerHour)) || days.has(Math.floor(minute / minutesPerDay));
      if (!isPacked) curve.addSample(minute, codes);
    }
  }

  /** Adds what is rolled up. @returns the days that are. */
  async #addDays(
    tx: TenantTx,
    hostId: string,
    { curve, frame }: { readonly curve: Curve; readonly frame: Frame },
  ): Promise<Map<number, Day | Cell>> {
    const whole = frame.stepMinutes % minutesPerDay === 0;
    const days = await repository.listDays(tx, hostId, { ...frame, whole });
    for (const [day, rolledUp] of days) {
      const start = day * minutesPerDay;
      if (rolledUp instanceof Map) {
        for (const [hour, cell] of rolledUp as Day) curve.addCell(start + hour * minutesPerHour, cell);
      } else {
        curve.addCell(start, rolledUp as Cell);
      }
    }
    return days;
  }
}
