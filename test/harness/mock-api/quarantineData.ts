import { defaultQuarantineRule, type UpdateQuarantine } from '#contract/quarantine.ts';
import { at, hosts, idOf } from './fleetData.ts';

const failures = hosts.slice(0, 2).map(({ id, hostname }, index) => ({
  hostRunId: idOf('hostRun', 900 + index),
  hostId: id,
  hostname,
  code: index === 0 ? 'check_failed' : 'install_failed',
}));

export const quarantines: readonly UpdateQuarantine[] = [
  {
    id: idOf('quarantine', 2),
    name: 'libssl3',
    version: '3.0.17-1~deb12u3',
    state: 'active',
    startedAt: at(-300),
    evidence: { tries: 9, failedTries: 2, failedHosts: 2, rule: defaultQuarantineRule, failures },
    liftedAt: null,
    liftedByName: null,
    liftReason: null,
  },
  {
    id: idOf('quarantine', 1),
    name: 'nginx',
    version: '1.22.1-9+deb12u2',
    state: 'lifted',
    startedAt: at(-9000),
    evidence: { tries: 6, failedTries: 2, failedHosts: 1, rule: defaultQuarantineRule, failures },
    liftedAt: at(-8000),
    liftedByName: 'Claire Mercier',
    liftReason: 'Le contrôle était mal réglé, pas la mise à jour.',
  },
];
