import { createPrivateKey, sign, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { WebSocket, type ClientOptions } from 'ws';
import { linkProtocol, type Command, type ServerFrame } from '#contract/agent-link.ts';
import { payloadTypes, type Envelope } from '#contract/dsse.ts';
import { maxResultsPerBatch, packResults, type CommandResult } from '#contract/results.ts';
import { peerFence, type SimulatedAgent, type SimulatedFleet } from './fleet.ts';
import { Ledger } from './ledger.ts';

/** Simulated agents, many in one process: TLS, protocol and result signatures are real; journal, verification and effects are not. */

/** What one agent does wrong once, on purpose: the reckoning must find it. */
export type AgentFault = 'swallow' | 'repeat';

export interface AgentsStart {
  readonly port: number;
  readonly fleet: SimulatedFleet;
  /** Where effects of the product's commands are counted; nowhere when absent. */
  readonly effectsFile?: string;
  readonly fault?: AgentFault;
}

const connectAtOnce = 100;
/** Commands of the product before the one at which the fault happens. */
const faultAfter = 100;

function signedBytes(payload: Buffer): Buffer {
  return Buffer.concat([
    Buffer.from(`DSSEv1 ${payloadTypes.results.length} ${payloadTypes.results} ${payload.length} `),
    payload,
  ]);
}

/** Counts effects. No agent here remembers what it has done: a command that comes twice has two effects, and is found out. */
class Effects {
  readonly #ledger: Ledger | undefined;
  readonly #fault: AgentFault | undefined;
  #count = 0;

  constructor({ effectsFile, fault }: AgentsStart) {
    this.#ledger = effectsFile === undefined ? undefined : new Ledger(effectsFile);
    this.#fault = fault;
  }

  /** The commands that were executed, which are all unless a fault is asked for. */
  execute(commands: readonly Command[]): readonly Command[] {
    return commands.filter((command) => this.#execute(command));
  }

  close(): void {
    this.#ledger?.close();
  }

  #execute({ commandId, fence }: Command): boolean {
    if (fence === peerFence) return true;
    this.#count += 1;
    const isFaulty = this.#count === faultAfter;
    if (isFaulty && this.#fault === 'swallow') return false;
    this.#ledger?.add(commandId);
    if (isFaulty && this.#fault === 'repeat') this.#ledger?.add(commandId);
    return true;
  }
}

class Agent {
  readonly #effects: Effects;
  readonly #identity: SimulatedAgent;
  readonly #key: KeyObject;
  #socket: WebSocket | undefined;
  /** As a real agent, it resumes its TLS session when it comes back. */
  #session: Buffer | undefined;
  /** One count for the product, one for the peers. */
  readonly #seqs = { product: 0, peers: 0 };

  constructor(identity: SimulatedAgent, effects: Effects) {
    this.#effects = effects;
    this.#identity = identity;
    this.#key = createPrivateKey(identity.resultKeyPem);
  }

  connect({ port, fleet }: AgentsStart): Promise<void> {
    const { certificatePem, keyPem } = this.#identity;
    const socket = new WebSocket(`wss://127.0.0.1:${port}/link`, linkProtocol, {
      ca: fleet.caPem,
      cert: certificatePem,
      key: keyPem,
      perMessageDeflate: false,
      createConnection: ((options: ConnectionOptions) => {
        const resumed = this.#session === undefined ? {} : { session: this.#session };
        const raw = connectTls({ ...options, path: undefined, ...resumed });
        raw.on('session', (fresh) => (this.#session = fresh));
        return raw;
      }) as NonNullable<ClientOptions['createConnection']>,
    });
    this.#socket = socket;
    return new Promise((resolve, reject) => {
      socket.on('error', reject);
      socket.on('open', () => socket.send(JSON.stringify(this.#hello())));
      socket.on('message', (data) => {
        const frame = JSON.parse((data as Buffer).toString('utf8')) as ServerFrame;
        if (frame.type === 'welcome') resolve();
        if (frame.type !== 'commands') return;
        const executed = this.#effects.execute(frame.commands);
        const envelopes: Envelope[] = [];
        for (let start = 0; start < executed.length; start += maxResultsPerBatch) {
          envelopes.push(this.#answer(executed.slice(start, start + maxResultsPerBatch)));
        }
        if (envelopes.length > 0) socket.send(JSON.stringify({ type: 'results', envelopes }));
      });
    });
  }

  /** Ends the connection, as when the way to the server is cut. */
  async leave(): Promise<void> {
    const socket = this.#socket;
    if (socket === undefined) return;
    const closed = once(socket, 'close');
    socket.terminate();
    await closed;
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

let effects: Effects | undefined;
const connected: Agent[] = [];

/** No more at once than the listener admits in a moment. */
async function connectAll(agents: readonly Agent[], start: AgentsStart): Promise<void> {
  for (let first = 0; first < agents.length; first += connectAtOnce) {
    await Promise.all(agents.slice(first, first + connectAtOnce).map((agent) => agent.connect(start)));
  }
}

/** Connects agents; those that are connected leave; those that have left come back; or all is closed. */
export type AgentsMessage =
  | { readonly connect: AgentsStart }
  | { readonly leave: true }
  | { readonly back: AgentsStart }
  | { readonly close: true };

async function obey(message: AgentsMessage): Promise<object> {
  if ('close' in message) {
    effects?.close();
    return {};
  }
  if ('leave' in message) {
    await Promise.all(connected.map((agent) => agent.leave()));
    return {};
  }
  if ('back' in message) {
    await connectAll(connected, message.back);
    return { connected: connected.length };
  }
  const start = message.connect;
  const counted = (effects ??= new Effects(start));
  const agents = start.fleet.agents.map((identity) => new Agent(identity, counted));
  await connectAll(agents, start);
  connected.push(...agents);
  return { connected: agents.length };
}

process.on('message', (message: AgentsMessage) => {
  obey(message).then(
    (answer) => process.send?.(answer),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.on('disconnect', () => process.exit(0));
