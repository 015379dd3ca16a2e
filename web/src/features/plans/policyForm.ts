import type { MaintenancePolicyBody } from '#contract/plans.ts';

/** A careful start: security only, no checkpoint no update, one host first. */
export function newPolicy(): MaintenancePolicyBody {
  return {
    name: '',
    updates: { select: 'security', excludePackages: [] },
    guard: { mode: 'required', minFreeGiB: 1, keepHours: 24 },
    restart: 'if_required',
    health: {
      checks: [
        { kind: 'command', id: 'systemd_no_failed_units' },
        { kind: 'command', id: 'dpkg_audit_clean' },
        { kind: 'approved_updates_installed' },
      ],
      withinS: 60,
    },
    waves: { firstSize: 1, size: 10, pauseS: 300, failureThresholdPercent: 20 },
    commitConfirm: { confirmWithinS: 1800, silentS: 120 },
  };
}

/** The members that are sent: a stored policy carries more than its body. */
export function bodyOf(policy: MaintenancePolicyBody): MaintenancePolicyBody {
  const { name, description, updates, guard, restart, health, waves, commitConfirm } = policy;
  return {
    name,
    ...(description === undefined ? {} : { description }),
    updates,
    guard,
    restart,
    health,
    waves,
    commitConfirm,
  };
}

/** Package names typed with commas, blanks or line ends between them. */
export function readPackages(text: string): string[] {
  return [...new Set(text.split(/[\s,;]+/).filter((word) => word !== ''))];
}
