import type { Inventory } from '#contract/inventory.ts';
import type { RestartSignals } from '../../providers/linux/restartSignals.ts';
import type { Drainage } from '../guard/drainage.ts';
import type { Guardian } from '../guard/guardian.ts';
import type { GuardTier } from '../guard/guardTier.ts';
import type { HostRunStore } from '../guard/hostRunStore.ts';
import type { PackageProvider } from '../host/packages.port.ts';
import type { StateDirectory } from '../state/stateDirectory.ts';

/** What verbs act through. */
export interface VerbDeps {
  readonly state: StateDirectory;
  readonly bootId: string;
  readonly provider: PackageProvider | null;
  readonly guardian: Guardian;
  readonly drainage: Drainage;
  readonly runs: HostRunStore;
  readonly surveyGuard: () => Promise<GuardTier>;
  readonly readRestartSignals: () => Promise<RestartSignals>;
  readonly noteReplaced: (names: readonly string[]) => Promise<void>;
  readonly sendInventory: (inventory: Inventory) => void;
  /** Counts a restart in the journal, for the cap, then asks for it. @returns null or why it was not accepted. */
  readonly restartHost: (why: string) => Promise<string | null>;
}
