import type { VerbTable } from '../runner/verb.ts';
import { createDrainVerb, createUndrainVerb } from './drainVerbs.ts';
import { createGuardVerbs } from './guardVerbs.ts';
import { createVerifyVerb } from './healthVerb.ts';
import { createScanVerb, noopVerb } from './readVerbs.ts';
import { createRestartVerb } from './restartVerb.ts';
import { createDownloadVerb, createInstallVerb, createPreflightVerb } from './updateVerbs.ts';
import type { VerbDeps } from './verbDeps.ts';

/** Every verb of the catalogue and what it does here; the type makes a missing one a compile error. */
export function createVerbTable(deps: VerbDeps): VerbTable {
  const guard = createGuardVerbs(deps);
  return {
    'agent.noop': noopVerb,
    'inventory.scan': createScanVerb(deps),
    'host.preflight': createPreflightVerb(deps),
    'guard.create': guard.create,
    'updates.download': createDownloadVerb(deps),
    'host.drain': createDrainVerb(deps),
    'updates.install': createInstallVerb(deps),
    'host.restart': createRestartVerb(deps),
    'host.undrain': createUndrainVerb(deps),
    'health.verify': createVerifyVerb(deps),
    'guard.commit': guard.commit,
    'guard.rollback': guard.rollback,
  };
}
