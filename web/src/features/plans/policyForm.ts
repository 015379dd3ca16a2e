import type { MaintenancePolicyBody } from '#contract/plans.ts';

type Drain = NonNullable<MaintenancePolicyBody['drain']>;

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
  const { name, description, updates, guard, restart, drain, health, waves, commitConfirm } = policy;
  return {
    name,
    ...(description === undefined ? {} : { description }),
    updates,
    guard,
    restart,
    ...(drain === undefined ? {} : { drain }),
    health,
    waves,
    commitConfirm,
  };
}

/** Package names typed with commas, blanks or line ends between them. */
export function readPackages(text: string): string[] {
  return [...new Set(text.split(/[\s,;]+/).filter((word) => word !== ''))];
}

/** Units as they are typed: one a line, the seconds after a blank. */
export function writeUnits(units: Drain['units']): string {
  return units.map(({ unit, withinS }) => `${unit} ${withinS}`).join('\n');
}

/** Reads such lines; the first one that says nothing sensible is given back instead. */
export function readUnits(text: string): { readonly units: Drain['units'] } | { readonly wrong: string } {
  const units: Drain['units'] = [];
  for (const line of text.split('\n').map((one) => one.trim())) {
    if (line === '') continue;
    const found =
      /^([A-Za-z0-9_][A-Za-z0-9@_.:-]*?)(\.(?:service|socket|target|timer))?(?:\s+(\d{1,2}))?$/.exec(line);
    const [, name = '', kind = '.service', seconds = '30'] = found ?? [];
    const withinS = Number(seconds);
    const isSound = found !== null && !name.startsWith('atlas-') && withinS >= 1 && withinS <= 90;
    if (!isSound || units.length === 16) return { wrong: line };
    units.push({ unit: `${name}${kind}`, withinS });
  }
  return { units };
}
