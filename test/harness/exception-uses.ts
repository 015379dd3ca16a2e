import type { PatchException } from '#contract/exceptions.ts';
import type { RouteName } from '#contract/routes.ts';
import type { ReleaseDesk } from './release-desk.ts';

const reason = { reason: 'Essai' };

/** One real use of each route of exceptions: chief asks, alice decides. */
export function exceptionUses(desk: () => ReleaseDesk): (readonly [RouteName, () => Promise<unknown>])[] {
  const create = () =>
    desk().must<PatchException>('chief', 'createException', {
      body: {
        ...{ update: null, place: { kind: 'tenant', id: null }, ownerId: desk().id('chief') },
        ...{ reason: 'Essai', compensation: 'Réseau isolé' },
        expiresAt: new Date(Date.now() + 86_400_000).toISOString(),
      },
    });
  const decide = async (who: string, name: RouteName) => {
    const { id } = await create();
    return desk().must(who, name, { params: { exceptionId: id }, body: reason });
  };
  return [
    ['createException', () => create()],
    ['refuseException', () => decide('alice', 'refuseException')],
    ['revokeException', () => decide('chief', 'revokeException')],
    ['approveException', () => decide('alice', 'approveException')],
  ];
}
