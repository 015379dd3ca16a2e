import { randomUUID } from 'node:crypto';
import type { AgentFrame, ServerFrame } from '#contract/agent-link.ts';
import { maxVisitBytes, type VisitReply, type VisitRequest } from '#contract/visit.ts';
import type { AgentIdentity, HostsHandlers, SendOutcome } from '../port.ts';
import type { JobFault } from './faults.ts';
import { VisitFailed } from './runner.ts';

/** How often a host is visited, milliseconds. */
export interface VisitRhythm {
  /** While something is under way: how long one visit waits for news. */
  readonly waitMs: number;
  /** While nothing is: time between two visits. */
  readonly idleMs: number;
  /** After a fault: the first pause, doubled up to `idleMs`; while something was under way it stays the first. */
  readonly againMs: number;
}

export interface SessionDeps {
  readonly identity: AgentIdentity;
  readonly handlers: HostsHandlers;
  readonly rhythm: VisitRhythm;
  /** One visit; throws VisitFailed. */
  readonly visit: (request: VisitRequest, signal: AbortSignal) => Promise<VisitReply>;
  /** Brings the engine. */
  readonly install: (signal: AbortSignal) => Promise<void>;
  /** What the last visit came to: null when it was good. */
  readonly contacted: (fault: JobFault | null) => Promise<void>;
  readonly failed: (error: unknown) => void;
}

const maxQueued = 1000;
/** Answers to what was just heard are usually there within this time: they travel with the next visit. */
const gatherMs = 400;
const maxRequestBytes = maxVisitBytes - 1_000_000;

function refusal(reply: Extract<VisitReply, { kind: 'refused' }>): JobFault {
  if (reply.code === 'not_adopted') return { fault: 'identity_lost', detail: reply.detail };
  if (reply.code === 'wrong_identity' || reply.code === 'agent_in_charge')
    return { fault: 'wrong_identity', detail: reply.detail };
  return { fault: 'engine_failed', detail: reply.detail };
}

/**
 * One host that is visited: the same conversation as over a connection, in turns. It promises that frames go out in
 * order and that whatever a failed visit may have lost is asked for again in a new conversation.
 */
export class VisitSession {
  readonly #deps: SessionDeps;
  readonly #queue: ServerFrame[] = [];
  readonly #abort = new AbortController();
  #wake: () => void = () => undefined;
  #isOpen = false;
  #isBusy = false;
  #isWelcome = false;
  #ended: Promise<void> = Promise.resolve();

  constructor(deps: SessionDeps) {
    this.#deps = deps;
  }

  get identity(): AgentIdentity {
    return this.#deps.identity;
  }

  get open(): boolean {
    return this.#isOpen;
  }

  start(): void {
    this.#ended = this.#live();
  }

  /** Ends the conversation; a visit under way is cut off, and what it may have done is asked for when somebody comes again. */
  async stop(): Promise<void> {
    this.#abort.abort();
    this.#wake();
    await this.#ended;
  }

  send(frame: ServerFrame): SendOutcome {
    if (!this.#isOpen) return 'not_connected';
    if (this.#queue.length >= maxQueued) return 'congested';
    this.#queue.push(frame);
    // The answer to a heartbeat can wait for the next visit; work cannot.
    if (frame.type !== 'lock' && frame.type !== 'checkpoint' && frame.type !== 'resultsHeld') this.#wake();
    return 'sent';
  }

  /** Visits again at once, whatever the rhythm says. */
  hurry(): void {
    this.#wake();
  }

  async #live(): Promise<void> {
    let pauseMs = this.#deps.rhythm.againMs;
    while (!this.#abort.signal.aborted) {
      try {
        await this.#converse(() => (pauseMs = this.#deps.rhythm.againMs));
      } catch (error) {
        await this.#note(error);
      }
      await this.#close();
      if (this.#abort.signal.aborted) return;
      await this.#pause(pauseMs);
      pauseMs = this.#isBusy ? this.#deps.rhythm.againMs : Math.min(pauseMs * 2, this.#deps.rhythm.idleMs);
    }
  }

  async #converse(reached: () => void): Promise<void> {
    const { identity, handlers } = this.#deps;
    const conversationId = randomUUID();
    const opened = await this.#visit({ kind: 'open', conversationId });
    const hello = opened.frames[0];
    if (hello?.type !== 'hello') throw new VisitFailed({ fault: 'engine_failed', detail: 'no hello' });
    this.#isBusy = opened.busy;
    this.#isOpen = true;
    const first = await handlers.connected(identity, hello);
    this.#isWelcome = true;
    this.#queue.unshift(...first);
    if (first[0]?.type === 'refused') {
      this.#abort.abort();
      return;
    }
    reached();
    await this.#deps.contacted(null);
    while (!this.#abort.signal.aborted) {
      const frames = this.#takeFrames();
      const waitMs = this.#isBusy || frames.length > 0 ? this.#deps.rhythm.waitMs : 0;
      const reply = await this.#visit({ kind: 'frames', conversationId, frames, waitMs });
      this.#isBusy = reply.busy;
      for (const frame of reply.frames) await this.#take(frame);
      await this.#deps.contacted(null);
      await this.#pause(this.#isBusy || reply.frames.length > 1 ? gatherMs : this.#idleMs());
    }
  }

  #idleMs(): number {
    const hasWork = this.#queue.some(({ type }) => type === 'commands' || type === 'release');
    return hasWork ? gatherMs : this.#deps.rhythm.idleMs;
  }

  async #take(frame: AgentFrame): Promise<void> {
    if (frame.type === 'hello') throw new VisitFailed({ fault: 'engine_failed', detail: 'a second hello' });
    await this.#deps.handlers.frame(this.#deps.identity, frame);
  }

  async #visit(request: VisitRequest): Promise<Extract<VisitReply, { kind: 'frames' }>> {
    const { signal } = this.#abort;
    const reply = await this.#deps.visit(request, signal).catch(async (error: unknown) => {
      if (!(error instanceof VisitFailed) || error.fault !== 'engine_missing') throw error;
      await this.#deps.install(signal);
      return this.#deps.visit(request, signal);
    });
    if (reply.kind === 'frames') return reply;
    const fault =
      reply.kind === 'refused' ? refusal(reply) : { fault: 'engine_failed' as const, detail: reply.kind };
    throw new VisitFailed(fault);
  }

  /**
   * A checkpoint that travels with a release may be newer than the one in the release's proof, and the host would take the
   * proof for a log that went back. The next heartbeat brings another one.
   */
  #dropOvertaking(): void {
    if (!this.#queue.some(({ type }) => type === 'release' || type === 'commands')) return;
    const kept = this.#queue.filter(({ type }) => type !== 'checkpoint');
    this.#queue.splice(0, this.#queue.length, ...kept);
  }

  #takeFrames(): ServerFrame[] {
    this.#dropOvertaking();
    const frames: ServerFrame[] = [];
    let bytes = 0;
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      bytes += Buffer.byteLength(JSON.stringify(next));
      if (frames.length > 0 && (bytes > maxRequestBytes || frames.length >= 500)) break;
      frames.push(next);
      this.#queue.shift();
    }
    return frames;
  }

  async #note(error: unknown): Promise<void> {
    if (this.#abort.signal.aborted) return;
    const isFault = error instanceof VisitFailed;
    if (!isFault) this.#deps.failed(error);
    const fault: JobFault = isFault
      ? { fault: error.fault, detail: error.message }
      : { fault: 'engine_failed', detail: 'a frame of the host could not be taken' };
    await this.#deps.contacted(fault).catch(this.#deps.failed);
  }

  async #close(): Promise<void> {
    this.#isOpen = false;
    this.#queue.length = 0;
    if (!this.#isWelcome) return;
    this.#isWelcome = false;
    const reason = this.#abort.signal.aborted ? 'stopping' : 'closed';
    await this.#deps.handlers.disconnected(this.#deps.identity, reason).catch(this.#deps.failed);
  }

  #pause(ms: number): Promise<void> {
    if (this.#abort.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        // A moment more, so that what belongs together leaves together.
        setTimeout(resolve, 50);
      };
    });
  }
}
