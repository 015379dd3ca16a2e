import type { KeyObject } from 'node:crypto';
import type { AgentFrame } from '#contract/agent-link.ts';
import { payloadTypes } from '#contract/dsse.ts';
import type { Envelope } from '#contract/dsse.ts';
import { maxResultsPerBatch, packResults } from '#contract/results.ts';
import type { CommandResult } from '#contract/results.ts';
import { signEnvelope } from '../trust/dsse.ts';

/** An envelope holds at most 131,072 characters of base64url: 98,304 bytes, of which a result may take four thousand more than its text. */
const maxPayloadBytes = 90_000;

/**
 * Signs results as they stand in the journal, all that wait with one signature. Nothing signed is stored:
 * what the server does not hold is packed and signed again.
 */
export class ResultOutbox {
  readonly #key: { readonly id: string; readonly privateKey: KeyObject };
  readonly #send: (frame: AgentFrame) => boolean;
  /** By sequence: a command that comes again asks for the same result once more. */
  readonly #waiting = new Map<number, CommandResult>();
  #scheduled = false;

  constructor(key: { id: string; privateKey: KeyObject }, send: (frame: AgentFrame) => boolean) {
    this.#key = key;
    this.#send = send;
  }

  /** Sends a result with those that end in the same turn of the event loop. */
  add(result: CommandResult): void {
    this.#waiting.set(result.seq, result);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      const waiting = [...this.#waiting.values()];
      this.#waiting.clear();
      this.deliver(waiting);
    });
  }

  /** Sends results in the order of their sequence, as many to a signature as fit. */
  deliver(results: Iterable<CommandResult>): void {
    let batch: CommandResult[] = [];
    let bytes = 0;
    const flush = () => {
      const envelope = this.#seal(batch);
      if (envelope !== null) this.#send({ type: 'results', envelopes: [envelope] });
      batch = [];
      bytes = 0;
    };
    for (const result of [...results].sort((a, b) => a.seq - b.seq)) {
      const size = Buffer.byteLength(JSON.stringify(result));
      const isFull = batch.length >= maxResultsPerBatch || bytes + size > maxPayloadBytes;
      if (isFull || result.bootId !== (batch[0]?.bootId ?? result.bootId)) flush();
      batch.push(result);
      bytes += size;
    }
    flush();
  }

  #seal(results: readonly CommandResult[]): Envelope | null {
    const batch = packResults(results);
    if (batch === undefined) return null;
    return signEnvelope(payloadTypes.results, Buffer.from(JSON.stringify(batch)), this.#key);
  }
}
