import { createPrivateKey, sign, type KeyObject } from 'node:crypto';
import { WebSocket } from 'ws';
import { linkProtocol, type Command, type ServerFrame } from '#contract/agent-link.ts';
import { payloadTypes, type Envelope } from '#contract/dsse.ts';
import type { CommandResult } from '#contract/results.ts';
import type { SimulatedAgent, SimulatedFleet } from './fleet.ts';

/** Simulated agents, many in one process: TLS, protocol and result signatures are real; journal, verification and effects are not. */

interface Start {
  readonly port: number;
  readonly fleet: SimulatedFleet;
}

function signedBytes(payload: Buffer): Buffer {
  return Buffer.concat([
    Buffer.from(`DSSEv1 ${payloadTypes.result.length} ${payloadTypes.result} ${payload.length} `),
    payload,
  ]);
}

class Agent {
  readonly #identity: SimulatedAgent;
  readonly #key: KeyObject;
  #seq = 0;

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
        const envelopes = frame.commands.map((command) => this.#answer(command));
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

  #answer(command: Command): Envelope {
    this.#seq += 1;
    const at = new Date().toISOString();
    const result: CommandResult = {
      v: 1,
      seq: this.#seq,
      agent: this.#identity.agentId,
      host: this.#identity.hostId,
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
    const payload = Buffer.from(JSON.stringify(result));
    const signature = sign(null, signedBytes(payload), this.#key).toString('base64url');
    return {
      payloadType: payloadTypes.result,
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
