import { collectInventory } from '../facts/inventory.ts';
import { probeNatural, succeed } from '../runner/verb.ts';
import type { VerbActions } from '../runner/verb.ts';
import type { VerbDeps } from './verbDeps.ts';

export const noopVerb: VerbActions = {
  run: () => Promise.resolve(succeed()),
  probe: () => Promise.resolve(succeed()),
};

/** Reads the inventory, sends it, and says in the signed result how many updates wait. */
export function createScanVerb(deps: VerbDeps): VerbActions {
  return {
    async run({ signal }) {
      const inventory = await collectInventory({ ...deps, signal });
      deps.sendInventory(inventory);
      return succeed({
        pendingUpdates: inventory.updates.length,
        restartRequired: inventory.restartRequired,
      });
    },
    probe: probeNatural,
  };
}
