import type { SshAccess, SshHostKey } from '#contract/reach.ts';
import { at, hosts, idOf, sites } from './fleetData.ts';

const fingerprint = (seed: string): string => `SHA256:${seed.repeat(43).slice(0, 43)}`;

function access(index: number, bend: Partial<SshAccess>): SshAccess {
  return {
    ...{
      id: idOf('sshAccess', index),
      hostId: null,
      siteId: sites[0]?.id ?? '',
      name: '',
      port: 22,
      user: 'root',
    },
    ...{ address: `10.20.0.${index + 11}`, hostKeyType: 'ssh-ed25519' },
    ...{ hostKeyFingerprint: fingerprint('k7Qw'), publicKeyFingerprint: fingerprint('p3Zx') },
    ...{ state: 'prepared', fault: null, faultDetail: null, lastContactAt: null, createdAt: at(-4000) },
    ...bend,
  };
}

const [driven, dead] = hosts.filter(({ reach }) => reach === 'ssh');

/** One host that SSH drives, one that is being taken over, one that cannot be reached, and one that is only prepared. */
export const sshAccesses: readonly SshAccess[] = [
  access(0, {
    hostId: driven?.id ?? null,
    name: driven?.hostname ?? '',
    state: 'active',
    lastContactAt: at(-3),
  }),
  access(1, {
    hostId: dead?.id ?? null,
    name: dead?.hostname ?? '',
    state: 'starting',
    lastContactAt: at(-1),
  }),
  access(2, {
    ...{ name: 'automate-labo', user: 'atlas', port: 2222, lastContactAt: at(-2900) },
    ...{ fault: 'wrong_host_key', faultDetail: 'ssh-ed25519 SHA256:' + 'n0Pe'.repeat(10) },
  }),
  access(3, { name: 'passerelle-dmz', address: 'passerelle.simule.example' }),
];

/** What an address shows when it is asked for its keys. */
export const sshHostKeys: readonly SshHostKey[] = [
  {
    type: 'ssh-ed25519',
    key: 'QUFBQUMzTnphQzFsWkRJMU5URTU='.padStart(64, 'A'),
    fingerprint: fingerprint('k7Qw'),
  },
  {
    type: 'ssh-rsa',
    key: 'QUFBQUIzTnphQzF5YzJFQUFBQURBUUFC'.padStart(64, 'A'),
    fingerprint: fingerprint('r5Tq'),
  },
];
