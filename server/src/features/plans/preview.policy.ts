import type { PlanHost, PlanPreview } from '#contract/plans.ts';

const shortWindowMs = 15 * 60_000;

/** What a plan does, in numbers. Pure. */
export function countHosts(hosts: readonly PlanHost[]): PlanPreview['counts'] {
  const included = hosts.filter((host) => host.included);
  const updates = included.flatMap((host) => host.updates);
  return {
    hosts: hosts.length,
    included: included.length,
    excluded: hosts.length - included.length,
    updates: updates.length,
    security: updates.filter((update) => update.security).length,
    downloadBytes: included.reduce((sum, host) => sum + host.downloadBytes, 0),
    waves: included.reduce((most, host) => Math.max(most, host.wave ?? 0), 0),
    withoutGuard: included.filter((host) => host.rollbackTier === 0).length,
  };
}

/** What whoever asks for a plan should know before it is made. Pure. */
export function warningsOf(preview: Omit<PlanPreview, 'warnings'>): PlanPreview['warnings'] {
  const found: PlanPreview['warnings'] = [];
  const { signersAvailable, signersNeeded } = preview;
  if (signersAvailable < signersNeeded) {
    found.push({ code: 'too_few_signers', values: { available: signersAvailable, needed: signersNeeded } });
  }
  const windowMs = Date.parse(preview.notAfter) - Date.parse(preview.notBefore);
  if (windowMs < shortWindowMs)
    found.push({ code: 'window_short', values: { minutes: Math.floor(windowMs / 60_000) } });
  const { fit, expectedSeconds } = preview.timing ?? { fit: 'unknown', expectedSeconds: null };
  if ((fit === 'does_not_fit' || fit === 'may_not_fit') && expectedSeconds !== null) {
    const minutes = (seconds: number): number => Math.ceil(seconds / 60);
    const values = { low: minutes(expectedSeconds.low), high: minutes(expectedSeconds.high) };
    found.push({ code: fit, values: { ...values, minutes: Math.floor(windowMs / 60_000) } });
  }
  const { withoutGuard, excluded } = preview.counts;
  if (withoutGuard > 0) found.push({ code: 'hosts_without_guard', values: { count: withoutGuard } });
  if (excluded > 0) found.push({ code: 'hosts_excluded', values: { count: excluded } });
  return [...found, ...leftOutWarnings(preview)];
}

function leftOutWarnings({ hosts, notBefore }: Omit<PlanPreview, 'warnings'>): PlanPreview['warnings'] {
  const found: PlanPreview['warnings'] = [];
  const leftOut = hosts.flatMap((host) => host.leftOut ?? []);
  const codes = { quarantined: 'updates_left_out', exempted: 'updates_exempted' } as const;
  for (const code of ['quarantined', 'exempted'] as const) {
    const updates = leftOut.filter((one) => one.code === code).map((one) => `${one.name} ${one.version}`);
    if (updates.length > 0) found.push({ code: codes[code], values: { count: new Set(updates).size } });
  }
  const early = leftOut.flatMap(({ exception }) =>
    exception !== undefined && Date.parse(exception.expiresAt) <= Date.parse(notBefore) ? [exception.id] : [],
  );
  if (early.length > 0) found.push({ code: 'exception_ends_before', values: { count: new Set(early).size } });
  return found;
}

/** Exceptions for which something was left out, each once. */
export function exceptionsOf(hosts: readonly PlanHost[]): string[] {
  const ids = hosts.flatMap((host) => (host.leftOut ?? []).flatMap(({ exception }) => exception?.id ?? []));
  return [...new Set(ids)];
}
