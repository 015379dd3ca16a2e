import { Chance } from './chance.ts';
import type { Fault, Injected, LiveFault, Outcome, ProvenFault } from './fault.ts';
import { missingNeed } from './machine.ts';
import { runProven } from './proven.ts';
import { FaultWorld } from './world.ts';

export interface RunOptions {
  readonly seed: number;
  readonly isSmoke: boolean;
  readonly say: (text: string) => void;
}

const recoverWithinMs = 120_000;
const restWithinMs = 180_000;

/**
 * Provokes faults one after the other. Live ones share one installation, so that each is judged on everything that happened
 * before it too; after a broken promise, or a fault that spoils the installation, the next one gets a new one.
 */
export class FaultRun {
  readonly #options: RunOptions;
  #world: Promise<FaultWorld> | null = null;

  constructor(options: RunOptions) {
    this.#options = options;
  }

  async live(fault: Fault): Promise<Outcome> {
    const startedAtMs = Date.now();
    const { ids, title, method, invariant } = fault;
    const named = { ids, title, method, invariant };
    const took = (): number => Math.round((Date.now() - startedAtMs) / 100) / 10;
    this.#options.say(`— ${ids.join(', ')} ${title}`);
    try {
      const went = fault.kind === 'live' ? await this.#provoke(fault) : await this.#prove(fault);
      return { ...named, ...went, tookS: took() };
    } catch (error) {
      await this.close();
      const why =
        error instanceof Error ? [error.message, causeOf(error)].filter(Boolean).join(': ') : String(error);
      return { ...named, verdict: 'broken', broken: [why], recoveredS: null, seen: '', tookS: took() };
    }
  }

  /** Ends the installation, also one that is only just being made. */
  async close(): Promise<void> {
    const world = this.#world;
    this.#world = null;
    await (await world?.catch(() => null))?.close();
  }

  async #prove(fault: ProvenFault) {
    const { broken, seen } = await runProven(fault);
    return { verdict: verdictOf(broken), broken, recoveredS: null, seen };
  }

  async #provoke(fault: LiveFault) {
    const missing = missingNeed(fault.needs ?? []);
    if (missing !== null)
      return { verdict: 'not_run' as const, broken: [missing], recoveredS: null, seen: '' };
    const { seed, isSmoke, say } = this.#options;
    if (fault.bend !== undefined) await this.close();
    this.#world ??= open(fault);
    const world = await this.#world;
    world.load.start();
    await world.inventories();
    // Each fault has chance of its own: it does not matter which others run.
    const chance = new Chance(seed ^ Number(fault.ids[0]?.slice(1)));
    const runsBefore = world.runIds.length;
    const injected: Injected = (await fault.inject({ world, chance, isSmoke, say })) ?? {};
    if (injected.isFinal === true) {
      await this.close();
      const { broken = [], seen = '' } = injected;
      return { verdict: verdictOf(broken), broken, recoveredS: null, seen };
    }
    const recoveredS = await this.#recover(world, fault, injected.healedAtMs ?? Date.now());
    const judged = await world.judge({
      mayHarmHosts: fault.mayHarmHosts === true,
      forgetful: injected.forgetful ?? [],
      runIds: world.runIds.slice(runsBefore),
    });
    const broken = [...(injected.broken ?? []), ...judged.broken];
    const { commands, effects, entries, ends } = judged.figures;
    const ended = Object.entries(ends).map(([state, count]) => `${count} ${state}`);
    const counted = `${commands} commands, ${effects} effects, ${entries} log entries compared; hosts: ${ended.join(', ')}`;
    if (broken.length > 0 || fault.spoils === true || fault.bend !== undefined) await this.close();
    return {
      verdict: verdictOf(broken),
      broken,
      recoveredS,
      seen: [injected.seen, counted].filter(Boolean).join('; '),
    };
  }

  /** Seconds from the heal until every host answered a new command; then all that is left comes to its end. */
  async #recover(world: FaultWorld, fault: LiveFault, healedAtMs: number): Promise<number> {
    const servedAtMs = await world.served(healedAtMs, fault.recoverWithinMs ?? recoverWithinMs);
    await world.rest(restWithinMs);
    return Math.round((servedAtMs - healedAtMs) / 100) / 10;
  }
}

/** An installation that could not be made says nothing about the fault: on a machine with other work it is tried again, once. */
async function open({ bend }: LiveFault): Promise<FaultWorld> {
  try {
    return await FaultWorld.open(await bend?.());
  } catch {
    return FaultWorld.open(await bend?.());
  }
}

function verdictOf(broken: readonly string[]): 'held' | 'broken' {
  return broken.length === 0 ? 'held' : 'broken';
}

function causeOf(error: Error): string {
  return error.cause instanceof Error ? error.cause.message : '';
}
