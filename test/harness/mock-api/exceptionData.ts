import type { PatchException } from '#contract/exceptions.ts';
import { at, hosts, idOf, sites } from './fleetData.ts';
import { people } from './releaseData.ts';

const dayMin = 1440;
const [owner, other] = people;

function exception(number: number, bend: Partial<PatchException>): PatchException {
  return {
    id: idOf('exception', number),
    update: { name: 'nginx', version: '1.22.1-9+deb12u3' },
    place: {
      kind: 'host',
      id: hosts[number]?.id ?? null,
      name: hosts[number]?.hostname ?? null,
      gone: false,
    },
    reason: 'Le progiciel d’imagerie ne démarre plus avec cette version ; l’éditeur corrige en janvier.',
    compensation:
      'Le serveur n’est joignable que depuis le réseau d’imagerie, et le pare-feu filtre les requêtes.',
    ...{ ownerId: owner.personId, ownerName: owner.name, ownerLost: false },
    ...{ expiresAt: at(60 * dayMin), expiresSoon: false, state: 'approved', missingOn: 1 },
    ...{ requestedBy: other.personId, requestedByName: other.name, requestedAt: at(-20 * dayMin) },
    decisions: [
      {
        ...{ decision: 'approved', reason: 'Risque accepté en comité.', by: owner.personId },
        ...{ byName: owner.name, at: at(-19 * dayMin) },
      },
    ],
    ...bend,
  };
}

const requested = exception(1, {
  ...{ state: 'requested', decisions: [], missingOn: null, update: null },
  place: { kind: 'site', id: sites[0]?.id ?? null, name: sites[0]?.name ?? null, gone: false },
});
const soon = exception(2, { expiresAt: at(6 * dayMin), expiresSoon: true });
const lost = exception(3, { ownerName: null, ownerLost: true });
const over = exception(4, { expiresAt: at(-3 * dayMin), state: 'expired' });
const gone = exception(5, {
  ...{ missingOn: 0, place: { kind: 'group', id: idOf('group', 99), name: 'Anciens frontaux', gone: true } },
});

/** One exception of each kind that wants somebody, and one whose group is gone. */
export const exceptions: readonly PatchException[] = [over, soon, requested, lost, gone];

export const exceptionAlerts = {
  ...{ requested: [requested], expiringSoon: [soon], expiredMissing: [over], ownerLost: [lost] },
};

/** What the plan and its run say of one that has ended since. */
export const endedExceptions = [
  { exceptionId: over.id, reason: over.reason, how: 'expired' as const, endedAt: over.expiresAt },
];
