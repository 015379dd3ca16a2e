import { waitForSystem } from '../host/boot.ts';
import { fail, succeed } from '../runner/verb.ts';
import type { ProbeContext, VerbActions, VerbContext, VerbOutcome } from '../runner/verb.ts';
import type { VerbDeps } from './verbDeps.ts';

/** How long the host may take to go down before the restart counts as not proven. */
const goDownMs = 600_000;
const comeUpMs = 180_000;

async function run(context: VerbContext, deps: VerbDeps): Promise<VerbOutcome> {
  const { onlyIfRequired } = context.args as { onlyIfRequired: boolean };
  const signals = await deps.readRestartSignals();
  const facts = {
    restartRequired: signals.isRequired,
    restartReasons: [...signals.reasons],
    bootIdBefore: deps.bootId,
  };
  if (onlyIfRequired && !signals.isRequired)
    return succeed(facts, 'nothing_to_do', 'no signal asks for a restart');
  const fault = await deps.restartHost(`command ${context.command.commandId}`);
  if (fault !== null) return fail('restart_not_proven', fault, facts);
  // The restart ends this program; whoever is still here after that was not restarted.
  await new Promise((resolve) => setTimeout(resolve, goDownMs));
  return fail('restart_not_proven', `the host is still up ${goDownMs / 1000} s after the request`, facts);
}

/** Only a changed boot id proves a restart. */
async function probe(context: ProbeContext, deps: VerbDeps): Promise<VerbOutcome> {
  const facts = { bootIdBefore: context.intent.bootId, bootIdAfter: deps.bootId };
  if (deps.bootId === context.intent.bootId)
    return fail('restart_not_proven', 'the agent started again in the same boot of the host', facts);
  const state = await waitForSystem(comeUpMs);
  const signals = await deps.readRestartSignals();
  return succeed(
    { ...facts, restartRequired: signals.isRequired, restartReasons: [...signals.reasons] },
    'ok',
    `proved by the boot id; the service manager says ${state}`,
  );
}

export function createRestartVerb(deps: VerbDeps): VerbActions {
  return { run: (context) => run(context, deps), probe: (context) => probe(context, deps) };
}
