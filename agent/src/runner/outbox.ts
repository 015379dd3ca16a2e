import type { KeyObject } from 'node:crypto';
import type { AgentFrame } from '#contract/agent-link.ts';
import { payloadTypes } from '#contract/dsse.ts';
import type { Envelope } from '#contract/dsse.ts';
import type { CommandResult } from '#contract/results.ts';
import { signEnvelope } from '../trust/dsse.ts';

const maxPerFrame = 200;
const maxFrameText = 3_000_000;

/** Signs results as they stand in the journal. Ed25519 gives the same bytes each time, so nothing signed is stored. */
export class ResultOutbox {
  readonly #key: { readonly id: string; readonly privateKey: KeyObject };
  readonly #send: (frame: AgentFrame) => boolean;

  constructor(key: { id: string; privateKey: KeyObject }, send: (frame: AgentFrame) => boolean) {
    this.#key = key;
    this.#send = send;
  }

  seal(result: CommandResult): Envelope {
    return signEnvelope(payloadTypes.result, Buffer.from(JSON.stringify(result)), this.#key);
  }

  /** Sends results in the order of their sequence, as many to a frame as fit. */
  deliver(results: Iterable<CommandResult>): void {
    let batch: Envelope[] = [];
    let length = 0;
    const flush = () => {
      if (batch.length > 0) this.#send({ type: 'results', envelopes: batch });
      batch = [];
      length = 0;
    };
    for (const result of [...results].sort((a, b) => a.seq - b.seq)) {
      const envelope = this.seal(result);
      if (batch.length >= maxPerFrame || length + envelope.payload.length > maxFrameText) flush();
      batch.push(envelope);
      length += envelope.payload.length;
    }
    flush();
  }
}
