/** How many may come in: a steady rate with room for a burst. */
export interface Admission {
  /** Takes one place, or says that there is none now. */
  readonly take: () => boolean;
}

/** A token bucket that refills at `perSecond` up to `burst`. */
export function createAdmission(options: { perSecond: number; burst: number; now: () => number }): Admission {
  let tokens = options.burst;
  let lastMs = options.now();
  return {
    take: () => {
      const nowMs = options.now();
      tokens = Math.min(options.burst, tokens + (Math.max(0, nowMs - lastMs) / 1000) * options.perSecond);
      lastMs = nowMs;
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
  };
}

/** One bucket for each key; keys that have been quiet long enough to be full again are forgotten. */
export function createKeyedAdmission(options: {
  perSecond: number;
  burst: number;
  now: () => number;
}): (key: string) => boolean {
  const refillMs = (options.burst / options.perSecond) * 1000;
  const buckets = new Map<string, { admission: Admission; usedAtMs: number }>();
  return (key) => {
    const nowMs = options.now();
    const bucket = buckets.get(key) ?? { admission: createAdmission(options), usedAtMs: nowMs };
    // Re-inserted, so that the oldest come first and the sweep can stop early.
    buckets.delete(key);
    for (const [other, { usedAtMs }] of buckets) {
      if (nowMs - usedAtMs < refillMs) break;
      buckets.delete(other);
    }
    buckets.set(key, { ...bucket, usedAtMs: nowMs });
    return bucket.admission.take();
  };
}
