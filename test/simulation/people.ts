import type { SimulatedHost } from './host/simulatedHost.ts';
import { loop } from './os/loop.ts';
import type { SimulatedWorld } from './world.ts';

/** Somebody looks at a host: a few readings at once, so that several results of one host are on their way together. */
export function askReadings(world: SimulatedWorld, host: SimulatedHost): void {
  const { agentId, hostId } = world.idsOf(host);
  const principal = { kind: 'person' as const, id: world.personId };
  world.asServer(async ({ commands }) => {
    for (let count = loop.chance.between(1, 4); count > 0; count -= 1) {
      const reading = { agentId, hostId, verb: 'agent.noop' as const, principal };
      const { commandId } = await commands.submitCommand(world.tenantId, reading);
      world.promised.push(commandId);
    }
  });
}

/** Somebody presses a button; what is refused is refused. */
export function pressButton(world: SimulatedWorld): void {
  const run = loop.chance.pick(world.runs);
  const actor = { tenantId: world.tenantId, id: world.personId, kind: 'person' as const };
  const act = loop.chance.pick(['pause', 'resume', 'resume', 'retry', 'retry', 'cancel'] as const);
  const isMeant = act !== 'cancel' || loop.chance.happens(0.1);
  if (!isMeant) return;
  world.tell(`a person asks to ${act} run ${world.runs.indexOf(run) + 1}`);
  world.asServer(async ({ runs, db }) => {
    if (act !== 'retry') return runs.service[act](actor, run.runId, 'simulated');
    const ended = await db.inTenant(world.tenantId, (tx) =>
      tx
        .selectFrom('host_runs')
        .select('id')
        .where('run_id', '=', run.runId)
        .where('state', 'in', ['failed', 'cancelled', 'missed'])
        .where('replaced_by', 'is', null)
        .orderBy('id')
        .execute(),
    );
    if (ended.length === 0) return undefined;
    return runs.service.retry(actor, loop.chance.pick(ended).id, 'simulated');
  });
}
