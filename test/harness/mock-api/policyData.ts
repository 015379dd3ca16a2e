import type { MaintenancePolicy } from '#contract/plans.ts';
import { at, idOf } from './fleetData.ts';

export const policy: MaintenancePolicy = {
  id: idOf('policy', 1),
  name: 'Correctifs de sécurité, nuit',
  description: 'Serveurs applicatifs, deux vagues, retour arrière exigé.',
  updates: { select: 'security', excludePackages: ['linux-image-*'] },
  guard: { mode: 'required', minFreeGiB: 2, keepHours: 48 },
  restart: 'if_required',
  health: {
    checks: [{ kind: 'systemd', unit: 'nginx.service' }, { kind: 'approved_updates_installed' }],
    withinS: 60,
  },
  waves: { firstSize: 2, size: 12, pauseS: 900, failureThresholdPercent: 20 },
  commitConfirm: { confirmWithinS: 1800, silentS: 120 },
  createdAt: at(-20_000),
  updatedAt: at(-9000),
  version: 4,
};

/** The list as people find it: one policy that says everything, one that takes work away, one that says the least. */
export const policies: MaintenancePolicy[] = [
  policy,
  {
    ...policy,
    id: idOf('policy', 2),
    name: 'Frontaux, sortis de la répartition',
    description: 'Un serveur à la fois, mis à l’écart avant le changement.',
    updates: { select: 'security', excludePackages: [] },
    drain: {
      hookWithinS: 60,
      units: [
        { unit: 'app.service', withinS: 30 },
        { unit: 'nginx.service', withinS: 20 },
      ],
    },
    waves: { ...policy.waves, firstSize: 1, size: 1 },
  },
  {
    ...policy,
    id: idOf('policy', 3),
    name: 'Tout, chaque mois',
    description: '',
    updates: { select: 'all', excludePackages: [] },
    restart: 'always',
  },
];
