import type { ResultFacts } from '#contract/results.ts';
import type { DrainArgs } from '#contract/verbs.ts';
import { fail, succeed } from '../runner/verb.ts';
import type { VerbActions, VerbContext, VerbOutcome } from '../runner/verb.ts';
import type { VerbDeps } from './verbDeps.ts';

async function factsNow({ drainage }: VerbDeps): Promise<ResultFacts> {
  const mark = await drainage.read();
  return mark === null ? { drained: false } : { drained: true, drainedUnits: [...mark.units] };
}

async function drain(context: VerbContext, deps: VerbDeps): Promise<VerbOutcome> {
  const { drainage } = deps;
  if ((await drainage.read()) !== null)
    return fail('still_drained', 'what was taken away before is not back', await factsNow(deps));
  if (!(await drainage.isWatched()))
    return fail('drain_failed', 'the guardian’s timer is not active: nobody would bring the work back', {
      drained: false,
    });
  context.onProgress('drain', null);
  const fault = await drainage.drain(context.command.hostRunId ?? '', context.args as DrainArgs);
  const facts = await factsNow(deps);
  return fault === null ? succeed(facts) : fail('drain_failed', fault, facts);
}

/** A drain goes on without the agent: what counts is what is stopped once it has ended. */
async function probeDrain(deps: VerbDeps): Promise<VerbOutcome> {
  const isAway = await deps.drainage.isAway();
  const facts = await factsNow(deps);
  if (isAway) return succeed(facts, 'ok', 'found away after the agent had ended');
  return fail('crashed', 'the agent ended, and not everything is away', facts);
}

async function undrain(context: VerbContext, deps: VerbDeps): Promise<VerbOutcome> {
  const before = await deps.drainage.read();
  if (before === null) return succeed({ drained: false }, 'nothing_to_do', 'nothing is away');
  context.onProgress('undrain', null);
  const fault = await deps.drainage.undrain();
  if (fault !== null) return fail('undrain_failed', fault, await factsNow(deps));
  return succeed({ drained: false, drainedUnits: [...before.units] });
}

/** A mark that stands says that something is still away; ordering it again does no harm. */
async function probeUndrain(deps: VerbDeps): Promise<VerbOutcome> {
  const facts = await factsNow(deps);
  if (facts.drained !== true) return succeed(facts, 'ok', 'found back after the agent had ended');
  return fail('crashed', 'the agent ended before everything was back', facts);
}

/** Takes the host's work away, as people signed it. */
export function createDrainVerb(deps: VerbDeps): VerbActions {
  return { run: (context) => drain(context, deps), probe: () => probeDrain(deps) };
}

/** Brings back what the host itself noted that it took away. */
export function createUndrainVerb(deps: VerbDeps): VerbActions {
  return { run: (context) => undrain(context, deps), probe: () => probeUndrain(deps) };
}
