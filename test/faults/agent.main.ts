import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Verb } from '#contract/verbs.ts';
import { enrol } from '../../agent/src/enrol/enrol.ts';
import { Drainage } from '../../agent/src/guard/drainage.ts';
import { Guardian } from '../../agent/src/guard/guardian.ts';
import { HostRunStore } from '../../agent/src/guard/hostRunStore.ts';
import { readBootId } from '../../agent/src/host/boot.ts';
import { log } from '../../agent/src/log.ts';
import { Agent } from '../../agent/src/runner/agent.ts';
import { fail, succeed, type VerbActions, type VerbTable } from '../../agent/src/runner/verb.ts';
import { workUntilEnd } from '../../agent/src/runner/workUntilEnd.ts';
import { locateState, prepareState } from '../../agent/src/state/stateDirectory.ts';
import { createVerbTable } from '../../agent/src/verbs/verbTable.ts';
import { readEffects, recordEffect, RecordingPackages } from './recordingPackages.ts';

/*
 * agent.main.ts enrol DIRECTORY TOKEN   makes an identity, prints it as JSON
 * agent.main.ts run DIRECTORY           the product's agent, whole; only the package manager under it writes lines
 *                                       into a file instead of changing the machine
 */

/** A reading whose every execution is a line on the disk, so that a second one would be seen. */
function scanVerb(directory: string): VerbActions {
  return {
    run: async ({ command: { commandId } }) => {
      await recordEffect(directory, { atMs: Date.now(), kind: 'scanned', commandId });
      return succeed({ pendingUpdates: 1, restartRequired: false });
    },
    probe: async ({ command: { commandId } }) => {
      const effects = await readEffects(directory);
      const isDone = effects.some((one) => one.kind === 'scanned' && one.commandId === commandId);
      return isDone
        ? succeed({ pendingUpdates: 1, restartRequired: false })
        : fail('crashed', 'the agent ended before the reading');
    },
  };
}

async function createVerbs(directory: string): Promise<VerbTable> {
  const state = locateState(path.join(directory, 'state'));
  const never = (verb: Verb): VerbActions => ({
    run: () => Promise.resolve(fail('unsupported', `${verb} is never done to the machine of the tests`)),
    probe: () => Promise.resolve(fail('unsupported', `${verb} is never done to the machine of the tests`)),
  });
  const table = createVerbTable({
    state,
    bootId: await readBootId(),
    provider: new RecordingPackages(directory),
    guardian: new Guardian(state.root),
    drainage: new Drainage(state.root),
    runs: new HostRunStore(state.runs),
    surveyGuard: () => Promise.resolve({ tier: 'none', reason: 'a test changes no disk' }),
    readRestartSignals: () => Promise.resolve({ isRequired: false, reasons: [], services: [] }),
    noteReplaced: () => Promise.resolve(),
    sendInventory: () => undefined,
    restartHost: () => Promise.resolve('a test restarts no machine'),
  });
  return { ...table, 'inventory.scan': scanVerb(directory), 'guard.rollback': never('guard.rollback') };
}

async function run(directory: string): Promise<number> {
  const agent = await Agent.open(path.join(directory, 'state'), {
    verbs: await createVerbs(directory),
    provider: new RecordingPackages(directory),
  });
  log('agent.started', { pid: process.pid });
  return (await workUntilEnd(agent)) === 'stopped' ? 0 : 1;
}

async function main([what, directory = '', token = '']: readonly string[]): Promise<number> {
  const state = locateState(path.join(directory, 'state'));
  if (what === 'run') return run(directory);
  await prepareState(state);
  const ids = await enrol(token, { identityDirectory: state.identity, again: false });
  writeFileSync(path.join(directory, 'ids.json'), JSON.stringify(ids));
  return 0;
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  },
);
