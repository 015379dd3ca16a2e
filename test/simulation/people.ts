import type { SimulatedHost } from './host/simulatedHost.ts';
import { loop } from './os/loop.ts';
import type { SimulatedServer } from './server.ts';
import type { SimulatedWorld } from './world.ts';

const actorOf = (world: SimulatedWorld) => ({
  ...{ tenantId: world.tenantId, id: world.personId, kind: 'person' as const },
});

/** Does something on the server that must be there when a history begins. */
async function settle<T>(world: SimulatedWorld, act: (server: SimulatedServer) => Promise<T>): Promise<T> {
  const { server } = world;
  if (server === null) throw new Error('what people say needs a server');
  return loop.until(loop.runAs(server.program, () => act(server)));
}

/** People say which hosts stand in for each other. */
export async function sayGroup(
  world: SimulatedWorld,
  hosts: readonly SimulatedHost[],
  most: number,
): Promise<void> {
  const body = {
    ...{ name: 'pair', description: '', hostIds: hosts.map((host) => world.idsOf(host).hostId) },
    ...{ ordered: false, budget: { kind: 'max_unavailable' as const, hosts: most } },
  };
  await settle(world, ({ groups }) => groups.create(actorOf(world), body));
  world.groups.push({ hosts, most });
  world.tell(`${hosts.map(({ name }) => name).join(', ')} stand in for each other, ${most} may be down`);
}

/** People say that one host runs on another. */
export async function sayGuest(
  world: SimulatedWorld,
  guest: SimulatedHost,
  hypervisor: SimulatedHost,
): Promise<void> {
  const body = {
    dependentHostId: world.idsOf(guest).hostId,
    providerHostId: world.idsOf(hypervisor).hostId,
    kind: 'guest_before_hypervisor' as const,
  };
  await settle(world, ({ dependencies }) => dependencies.create(actorOf(world), body));
  world.guests.push({ guest, hypervisor });
  world.tell(`${guest.name} runs on ${hypervisor.name}`);
}

/** People freeze a time; where it says so, somebody lifts the freeze before its end. */
export async function sayFreeze(
  world: SimulatedWorld,
  span: { readonly fromMs: number; readonly untilMs: number },
  liftedAtMs: number | null,
): Promise<void> {
  const when = {
    kind: 'once' as const,
    startsAt: new Date(span.fromMs).toISOString(),
    endsAt: new Date(span.untilMs).toISOString(),
  };
  const body = { name: 'freeze', reason: 'simulated', siteId: null, when };
  const made = await settle(world, ({ windows }) => windows.freezes.create(actorOf(world), body));
  const freeze = { ...span };
  world.freezes.push(freeze);
  const inS = (ms: number): number => Math.round((ms - loop.nowMs) / 1000);
  world.tell(`a freeze begins in ${inS(span.fromMs)} s and ends in ${inS(span.untilMs)} s`);
  if (liftedAtMs === null) return;
  loop.after(
    liftedAtMs - loop.nowMs,
    () => {
      // Asked for is not yet done: from here on nobody may say whether it holds.
      freeze.untilMs = loop.nowMs;
      world.tell('somebody lifts the freeze');
      world.asServer(({ windows }) => windows.freezes.remove(actorOf(world), made));
    },
    null,
  );
}

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
  const actor = actorOf(world);
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
