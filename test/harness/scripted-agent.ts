import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import type { Command, ServerFrame } from '#contract/agent-link.ts';
import { payloadTypes, type Envelope } from '#contract/dsse.ts';
import { packResults, type CommandResult } from '#contract/results.ts';
import type { LiveEvent } from '#contract/tenants.ts';
import type { OrderStep } from '#contract/trust.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { signedBytes } from './dsse-bytes.ts';
import type { ServerProcess } from './run-world.ts';

export type TenantLifeEvent = Pick<LiveEvent, 'type' | 'subjectId' | 'data'>;
type Answer = Partial<Pick<CommandResult, 'outcome' | 'code' | 'detail' | 'facts'>>;

/**
 * What a host does about an order. `hold` means: the effect happens, the answer comes when the test says `release`.
 * Scripts are kept per step; a list is used up from the front, its last answer stays.
 */
type Script = Partial<Record<OrderStep, readonly (Answer | 'hold')[]>>;

const wellFacts: Partial<Record<OrderStep, CommandResult['facts']>> = {
  install: { restartRequired: true, installed: [{ name: 'nginx', from: '1.0', to: '1.1' }] },
  restart: { bootIdBefore: 'boot-1', bootIdAfter: 'boot-2' },
  verify: { checks: [{ check: 'tcp 80', ok: true, detail: '', tookMs: 3 }] },
  rollback: {
    rollbackBy: 'order',
    phasesMs: { detected: 0, decided: 5, switched: 40, rebooted: 800, green: 1200 },
  },
};

/** Facts and codes of a red health check. */
export const redCheck: Answer = {
  outcome: 'failed',
  code: 'check_failed',
  facts: { checks: [{ check: 'tcp 80', ok: false, detail: 'connection refused', tookMs: 3 }] },
};

/** An agent in memory: a journal of commands, effects that are counted, results that are really signed. It verifies nothing. */
export class ScriptedAgent {
  readonly agentId = newId();
  readonly hostId = newId();
  readonly hostname: string;
  readonly publicKey: Buffer;
  /** How often the effect of each command happened. */
  readonly effects = new Map<string, number>();
  readonly received: Command[] = [];
  script: Script = {};
  readonly #tenantId: string;
  readonly #privateKey: KeyObject;
  readonly #journal = new Map<string, Envelope | null>();
  readonly #held: (() => Promise<void>)[] = [];
  #unacknowledged: { seq: number; envelope: Envelope }[] = [];
  #seq = 0;
  #server: ServerProcess | null = null;

  constructor(options: { readonly tenantId: string; readonly index: number }) {
    this.#tenantId = options.tenantId;
    this.hostname = `host-${options.index}`;
    const pair = generateKeyPairSync('ed25519');
    this.publicKey = pair.publicKey.export({ type: 'spki', format: 'der' });
    this.#privateKey = pair.privateKey;
  }

  get ref() {
    return { tenantId: this.#tenantId, agentId: this.agentId, hostId: this.hostId };
  }

  isConnectedTo(server: ServerProcess): boolean {
    return this.#server === server;
  }

  async connect(server: ServerProcess): Promise<void> {
    this.#server = server;
    const frames = await server.commands.connected(this.ref);
    const held = await server.commands.resultsHeld(this.#tenantId, this.agentId);
    this.#unacknowledged = this.#unacknowledged.filter(({ seq }) => seq > held);
    const open = [...this.#journal].filter(([, result]) => result === null).map(([id]) => id);
    // What a server that dies could not look up, the next one looks up when this agent says hello to it.
    server.runs.service.agentConnected(this.ref, open).catch((error: unknown) => {
      if (server.alive) throw error;
    });
    for (const frame of frames) this.receive(frame);
    await this.#deliver();
  }

  disconnect(): void {
    this.#server?.commands.disconnected(this.ref);
    this.#server = null;
  }

  receive(frame: ServerFrame): void {
    if (frame.type === 'resultsHeld') {
      this.#unacknowledged = this.#unacknowledged.filter(({ seq }) => seq > frame.upTo);
    }
    if (frame.type !== 'commands') return;
    setImmediate(() => {
      for (const command of frame.commands) void this.#accept(command);
    });
  }

  heartbeat(): void {
    this.#server?.runs.service.heard(this.ref);
  }

  /** Lets go of the answers that were held back. */
  async release(): Promise<void> {
    for (const answer of this.#held.splice(0)) await answer();
  }

  get holding(): number {
    return this.#held.length;
  }

  /** Reports something that no order asked for, as the guardian does. */
  async report(command: Command, answer: Answer): Promise<void> {
    await this.#answer(command, answer);
  }

  /** Sends everything again that the server has not acknowledged, twice. */
  async stutter(): Promise<void> {
    const all = this.#sent.slice(-5);
    for (let round = 0; round < 2; round += 1) {
      await this.#server?.commands.receiveResults(this.ref, { type: 'results', envelopes: all });
    }
  }

  readonly #sent: Envelope[] = [];

  async #accept(command: Command): Promise<void> {
    this.received.push(command);
    if (this.#journal.has(command.commandId)) {
      await this.#deliver();
      return;
    }
    this.#journal.set(command.commandId, null);
    this.effects.set(command.commandId, (this.effects.get(command.commandId) ?? 0) + 1);
    const next = this.#next(command.step);
    if (next === 'hold') this.#held.push(() => this.#answer(command, {}));
    else await this.#answer(command, next);
  }

  #next(step: OrderStep | null): Answer | 'hold' {
    const list = step === null ? undefined : this.script[step];
    const first = list?.[0];
    if (step === null || list === undefined || first === undefined) return {};
    if (list.length > 1) this.script = { ...this.script, [step]: list.slice(1) };
    return first;
  }

  async #answer(command: Command, answer: Answer): Promise<void> {
    this.#seq += 1;
    const at = new Date().toISOString();
    const facts = command.step === null ? {} : (wellFacts[command.step] ?? {});
    const result: CommandResult = {
      ...{ v: 1, seq: this.#seq, agent: this.agentId, host: this.hostId },
      ...command,
      ...{ outcome: 'succeeded', code: 'ok', detail: '', facts, startedAt: at, endedAt: at },
      ...{ bootId: 'boot-1', journalHead: '0'.repeat(64) },
      ...answer,
    };
    const payload = Buffer.from(JSON.stringify(packResults([result])), 'utf8');
    const signature = sign(null, signedBytes(payloadTypes.results, payload), this.#privateKey);
    const envelope: Envelope = {
      payloadType: payloadTypes.results,
      payload: payload.toString('base64url'),
      signatures: [{ kind: 'ed25519', keyid: 'result', signature: signature.toString('base64url') }],
    };
    this.#journal.set(command.commandId, envelope);
    this.#sent.push(envelope);
    this.#unacknowledged.push({ seq: this.#seq, envelope });
    await this.#deliver();
  }

  async #deliver(): Promise<void> {
    const envelopes = this.#unacknowledged.map(({ envelope }) => envelope);
    if (this.#server === null || envelopes.length === 0) return;
    await this.#server.commands.receiveResults(this.ref, { type: 'results', envelopes });
  }
}
