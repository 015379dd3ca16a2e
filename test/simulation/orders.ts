import type { Order } from '#contract/trust.ts';

const gib = 1024 ** 3;
/** What every simulated host has in version 1.0, and is offered in 1.1. */
export const packageNames = ['app', 'libssl3', 'openssl'];

/** Seconds after which a drained host of these worlds brings its work back by itself. */
export const drainReturnS = 1600;

const drainArgs = {
  hookWithinS: 60,
  units: [
    { unit: 'front.service', withinS: 20 },
    { unit: 'app.service', withinS: 20 },
  ],
  returnWithinS: drainReturnS,
};

/** What people sign for each host of a simulated run. */
export function ordersOf({ guarded, drained }: { guarded: boolean; drained: boolean }): Order[] {
  const packages = packageNames.map((name) => ({
    ...{ name, arch: 'amd64', fromVersion: '1.0', version: '1.1', sha256: 'a'.repeat(64) },
  }));
  const health = {
    checks: [{ kind: 'systemd', unit: 'app.service' }, { kind: 'approved_updates_installed' }],
    withinS: 30,
  };
  const before = { checks: [{ kind: 'systemd', unit: 'app.service' }], withinS: 60 };
  return [
    { step: 'preflight', verb: 'host.preflight', args: { minFreeBytes: gib } },
    {
      step: 'guard',
      verb: 'guard.create',
      args: { tier: guarded ? 'btrfs' : 'none', minFreeBytes: gib, confirmWithinS: 1200, silentS: 120 },
    },
    { step: 'download', verb: 'updates.download', args: { packages } },
    ...(drained ? [{ step: 'drain' as const, verb: 'host.drain', args: drainArgs }] : []),
    { step: 'install', verb: 'updates.install', args: { packages } },
    { step: 'restart', verb: 'host.restart', args: { onlyIfRequired: true } },
    ...(drained ? [{ step: 'undrain' as const, verb: 'host.undrain', args: {} }] : []),
    { step: 'verify', verb: 'health.verify', args: health },
    { step: 'commit', verb: 'guard.commit', args: { keepHours: 24 } },
    ...(guarded ? [{ step: 'rollback' as const, verb: 'guard.rollback' as const, args: before }] : []),
  ];
}
