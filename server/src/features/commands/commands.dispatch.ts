import type { Command, ServerFrame } from '#contract/agent-link.ts';
import type { ReleaseBundle } from '#contract/trust.ts';
import type { Logger } from '../../platform/log.ts';
import { orderFrame, readingFrame, type OrderRow, type ReadingDraft } from './commands.repository.ts';

/** The part of the hosts port that commands need. */
export interface CommandsLink {
  readonly send: (agentId: string, frame: ServerFrame) => 'sent' | 'not_connected' | 'congested';
  readonly isConnected: (agentId: string) => boolean;
}

interface DispatchDeps {
  readonly link: CommandsLink;
  readonly log: Logger;
  /** Waits until the release's entry is sealed: without it there is nothing to send. */
  readonly bundleFor: (tenantId: string, releaseId: string, hostId: string) => Promise<ReleaseBundle>;
}

const frameSize = 500;
const retryMs = 500;
// An agent refuses a proof to a checkpoint that it no longer remembers; it keeps the last 128, one a heartbeat.
const proofLifeMs = 5 * 60_000;
const maxProofTries = 5;
/** Unanswered readings of one agent that are remembered; beyond, some are sent again, and the agent repeats its answer. */
const maxGiven = 10_000;

/** Number of leaves that a checkpoint speaks of: its second line (C2SP tlog-checkpoint). */
function checkpointSize(note: string): number {
  return Number(note.split('\n', 2)[1] ?? 0);
}

/** As many commands to a frame as the contract takes. */
function cut(commands: readonly Command[]): Command[][] {
  const parts: Command[][] = [];
  for (let start = 0; start < commands.length; start += frameSize)
    parts.push(commands.slice(start, start + frameSize));
  return parts;
}

/** Hands durable commands to connected agents. What cannot be handed over now is handed over when the agent is back. */
export class Dispatch {
  readonly #deps: DispatchDeps;
  /** Releases that each agent got on its present connection, and when (milliseconds of `performance.now`). */
  readonly #known = new Map<string, Map<string, number>>();
  /** Size of the log that each agent was shown last on its present connection. */
  readonly #shown = new Map<string, number>();
  /** Readings that each agent got on its present connection and has not answered: while it lives it loses nothing. */
  readonly #given = new Map<string, Set<string>>();
  /** Readings that an agent was too slow to take. */
  readonly #held = new Map<string, Command[]>();
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: DispatchDeps) {
    this.#deps = deps;
  }

  /** A new connection, to which nothing was handed over yet. Returns how to hand over the readings that waited for it. */
  connected(agentId: string): (waiting: readonly Command[]) => ServerFrame[] {
    const given = new Set<string>();
    this.#known.set(agentId, new Map());
    this.#given.set(agentId, given);
    this.#held.delete(agentId);
    return (waiting) => {
      const missing = waiting.filter(({ commandId }) => !given.has(commandId));
      for (const { commandId } of missing) given.add(commandId);
      return cut(missing).map((commands) => ({ type: 'commands', commands }));
    };
  }

  disconnected(agentId: string): void {
    this.#known.delete(agentId);
    this.#shown.delete(agentId);
    this.#given.delete(agentId);
    this.#held.delete(agentId);
  }

  /** Results of these commands are durable. */
  answered(agentId: string, commandIds: Iterable<string>): void {
    const given = this.#given.get(agentId);
    if (given === undefined) return;
    for (const id of commandIds) given.delete(id);
  }

  /** Of the readings that an agent has not answered, sends those that it did not get on its present connection. */
  sendMissing(agentId: string, open: readonly Command[]): void {
    const given = this.#given.get(agentId);
    const missing = open.filter(({ commandId }) => given?.has(commandId) !== true);
    this.#sendCommands(agentId, missing);
  }

  /** A checkpoint of this size was sent to the agent: whatever follows must not speak of an older one. */
  shown(agentId: string, size: number): void {
    this.#shown.set(agentId, Math.max(size, this.#shown.get(agentId) ?? 0));
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** One frame an agent, however many commands it gets. */
  sendReadings(readings: readonly Pick<ReadingDraft, 'id' | 'agentId' | 'verb'>[]): void {
    const byAgent = new Map<string, Command[]>();
    for (const { id, agentId, verb } of readings) {
      const frame = readingFrame(id, verb);
      const commands = byAgent.get(agentId);
      if (commands === undefined) byAgent.set(agentId, [frame]);
      else commands.push(frame);
    }
    for (const [agentId, commands] of byAgent) this.#sendCommands(agentId, commands);
  }

  /** True when the order was handed over, with the release that it belongs to before it. */
  async sendOrder(tenantId: string, order: OrderRow): Promise<boolean> {
    const { agentId, releaseId } = order;
    if (!this.#deps.link.isConnected(agentId)) return false;
    const known = this.#known.get(agentId) ?? new Map<string, number>();
    this.#known.set(agentId, known);
    const sentAtMs = known.get(releaseId) ?? -Infinity;
    if (performance.now() - sentAtMs > proofLifeMs) {
      const bundle = await this.#bundleFor(tenantId, order);
      // The connection may have been replaced meanwhile; the new one knows nothing.
      if (this.#known.get(agentId) !== known) return false;
      if (this.#deps.link.send(agentId, { type: 'release', releaseId, bundle }) !== 'sent') return false;
      known.set(releaseId, performance.now());
    }
    return this.#deps.link.send(agentId, { type: 'commands', commands: [orderFrame(order)] }) === 'sent';
  }

  /** With a proof that is no older than what the agent was shown while it was made: that would look like a log that went back. */
  async #bundleFor(tenantId: string, { agentId, releaseId, hostId }: OrderRow): Promise<ReleaseBundle> {
    let bundle = await this.#deps.bundleFor(tenantId, releaseId, hostId);
    for (let tries = 1; tries < maxProofTries; tries += 1) {
      if (checkpointSize(bundle.audit.checkpoint) >= (this.#shown.get(agentId) ?? 0)) return bundle;
      bundle = await this.#deps.bundleFor(tenantId, releaseId, hostId);
    }
    return bundle;
  }

  #sendCommands(agentId: string, commands: readonly Command[]): void {
    for (const [index, part] of cut(commands).entries()) {
      const outcome = this.#deps.link.send(agentId, { type: 'commands', commands: part });
      if (outcome === 'not_connected') return;
      if (outcome === 'congested') {
        const left = commands.slice(index * frameSize);
        this.#held.set(agentId, [...(this.#held.get(agentId) ?? []), ...left]);
        this.#retryLater();
        return;
      }
      this.#remember(agentId, part);
    }
  }

  #remember(agentId: string, commands: readonly Command[]): void {
    const given = this.#given.get(agentId);
    if (given === undefined) return;
    if (given.size + commands.length > maxGiven) given.clear();
    for (const { commandId } of commands) given.add(commandId);
  }

  #retryLater(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const held = [...this.#held];
      this.#held.clear();
      for (const [agentId, commands] of held) this.#sendCommands(agentId, commands);
    }, retryMs);
    this.#timer.unref();
  }
}
