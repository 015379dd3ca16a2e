import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ResultFacts } from '#contract/results.ts';
import type { Verb } from '#contract/verbs.ts';
import { enrol } from '../../agent/src/enrol/enrol.ts';
import { Journal } from '../../agent/src/journal/journal.ts';
import { Agent } from '../../agent/src/runner/agent.ts';
import { AgentMemory } from '../../agent/src/runner/memory.ts';
import { succeed, type VerbActions, type VerbTable } from '../../agent/src/runner/verb.ts';
import { locateState, prepareState } from '../../agent/src/state/stateDirectory.ts';

const facts: Partial<Record<Verb, ResultFacts>> = {
  'updates.install': { restartRequired: false, installed: [{ name: 'openssl', from: '1.0-1', to: '1.0-2' }] },
  'host.restart': { bootIdBefore: 'boot-1', bootIdAfter: 'boot-2' },
  'health.verify': { checks: [{ check: 'tcp 443', ok: true, detail: '', tookMs: 2 }] },
};

/** What the journal on the disk says about one command. */
export interface JournalLine {
  readonly started: boolean;
  readonly code: string | null;
}

/** The product's agent, enrolled, with its real link, checks and journal. Only what touches the host is replaced: it is written down. */
export class RecordedAgent {
  /** Verbs in the order in which they would have changed something. */
  readonly effects: Verb[] = [];
  readonly #root: string;
  readonly hostId: string;
  readonly agentId: string;
  #agent: Agent | null = null;

  private constructor(root: string, ids: { readonly hostId: string; readonly agentId: string }) {
    this.#root = root;
    this.hostId = ids.hostId;
    this.agentId = ids.agentId;
  }

  static async enrol(token: string): Promise<RecordedAgent> {
    const root = await mkdtemp(path.join(tmpdir(), 'atlas-recorded-agent-'));
    const state = locateState(root);
    await prepareState(state);
    const ids = await enrol(token, { identityDirectory: state.identity, again: false });
    return new RecordedAgent(root, ids);
  }

  async start(): Promise<void> {
    this.#agent = await Agent.open(this.#root, { verbs: this.#verbs(), provider: null });
    // Its chores wait for a connection: nobody waits for them here.
    void this.#agent.start();
  }

  async stop(): Promise<void> {
    await this.#agent?.stop();
    this.#agent = null;
  }

  /** What is on the disk about a command; null when the journal has never heard of it. The agent must be stopped. */
  async journalOf(commandIds: readonly string[]): Promise<(JournalLine | null)[]> {
    const journal = await Journal.open(locateState(this.#root).journal, Date.now());
    const lines = commandIds.map((id) => {
      const entry = journal.index.commands.get(id);
      return entry === undefined
        ? null
        : { started: entry.startedAt !== null, code: entry.result?.code ?? null };
    });
    await journal.close();
    return lines;
  }

  /** Addresses of the server's nodes that the agent has on its disk. */
  async servers(): Promise<readonly string[]> {
    const memory = await AgentMemory.load(locateState(this.#root).memory);
    return memory.servers;
  }

  async remove(): Promise<void> {
    await this.stop();
    // What it was writing down when it was stopped may still land.
    await rm(this.#root, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }

  #verbs(): VerbTable {
    const record = (verb: Verb): VerbActions => ({
      run: () => {
        this.effects.push(verb);
        return Promise.resolve(succeed(facts[verb] ?? {}));
      },
      probe: () => Promise.resolve(succeed(facts[verb] ?? {})),
    });
    return {
      'agent.noop': record('agent.noop'),
      'inventory.scan': record('inventory.scan'),
      'host.preflight': record('host.preflight'),
      'guard.create': record('guard.create'),
      'updates.download': record('updates.download'),
      'host.drain': record('host.drain'),
      'updates.install': record('updates.install'),
      'host.restart': record('host.restart'),
      'host.undrain': record('host.undrain'),
      'health.verify': record('health.verify'),
      'guard.commit': record('guard.commit'),
      'guard.rollback': record('guard.rollback'),
    };
  }
}
