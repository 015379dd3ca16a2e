import { createPrivateKey, sign, type KeyObject } from 'node:crypto';
import { WebSocket } from 'ws';
import { linkProtocol, type Command, type ServerFrame } from '#contract/agent-link.ts';
import { payloadTypes, type Envelope } from '#contract/dsse.ts';
import { maxResultsPerBatch, packResults, type CommandResult } from '#contract/results.ts';
import { peerFence, type SimulatedAgent, type SimulatedFleet } from './fleet.ts';

/** Simulated agents, many in one process: TLS, protocol and result signatures are real; journal, verification and effects are not. */

interface Start {
  readonly port: number;
  readonly fleet: SimulatedFleet;
}

function signedBytes(payload: Buffer): Buffer {
  return Buffer.concat([
    Buffer.from(`DSSEv1 ${payloadTypes.results.length} ${payloadTypes.results} ${payload.length} `),
    payload,
  ]);
}

class Agent {
  readonly #identity: SimulatedAgent;
  readonly #key: KeyObject;
  /** One count for the product, one for the peers. */
  readonly #seqs = { product: 0, peers: 0 };

  constructor(identity: SimulatedAgent) {
    this.#identity = identity;
    this.#key = createPrivateKey(identity.resultKeyPem);
  }

  connect({ port, fleet }: Start): Promise<void> {
    const { certificatePem, keyPem } = this.#identity;
    const socket = new WebSocket(`wss://127.0.0.1:${port}/link`, linkProtocol, {
      ca: fleet.caPem,
      cert: certificatePem,
      key: keyPem,
      perMessageDeflate: false,
    });
    return new Promise((resolve, reject) => {
      socket.on('error', reject);
      socket.on('open', () => socket.send(JSON.stringify(this.#hello())));
      socket.on('message', (data) => {
        const frame = JSON.parse((data as Buffer).toString('utf8')) as ServerFrame;
        if (frame.type === 'welcome') resolve();
        if (frame.type !== 'commands') return;
        const envelopes: Envelope[] = [];
        for (let start = 0; start < frame.commands.length; start += maxResultsPerBatch) {
          envelopes.push(this.#answer(frame.commands.slice(start, start + maxResultsPerBatch)));
        }
        socket.send(JSON.stringify({ type: 'results', envelopes }));
      });
    });
  }

  #hello() {
    return {
      type: 'hello',
      agentVersion: 'simulated',
      bootId: 'simulated',
      bootedAt: new Date().toISOString(),
      generation: 1,
      policyEpoch: 0,
      lockSerial: 0,
      treeSize: 0,
      lastResultSeq: 0,
      openCommands: [],
    };
  }

  #answer(commands: readonly Command[]): Envelope {
    const at = new Date().toISOString();
    const { agentId, hostId } = this.#identity;
    const results = commands.map((command): CommandResult => {
      const whose = command.fence === peerFence ? 'peers' : 'product';
      this.#seqs[whose] += 1;
      return {
        v: 1,
        seq: this.#seqs[whose],
        agent: agentId,
        host: hostId,
        ...command,
        outcome: 'succeeded',
        code: 'ok',
        detail: '',
        facts: {},
        startedAt: at,
        endedAt: at,
        bootId: 'simulated',
        journalHead: '0'.repeat(64),
      };
    });
    const payload = Buffer.from(JSON.stringify(packResults(results)));
    const signature = sign(null, signedBytes(payload), this.#key).toString('base64url');
    return {
      payloadType: payloadTypes.results,
      payload: payload.toString('base64url'),
      signatures: [{ kind: 'ed25519', keyid: 'simulated', signature }],
    };
  }
}

process.on('message', (start: Start) => {
  const agents = start.fleet.agents.map((identity) => new Agent(identity));
  Promise.all(agents.map((agent) => agent.connect(start))).then(
    () => process.send?.({ connected: agents.length }),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.on('disconnect', () => process.exit(0));
