import type { KeyObject } from 'node:crypto';
import type { AgentFrame } from '#contract/agent-link.ts';
import type { PolicyDocument } from '#contract/trust.ts';
import { cosignCheckpoint, cosignerName } from '../trust/checkpoint.ts';
import { verifyConsistency } from '../trust/merkle.ts';
import { checkNotBack, openPolicyCheckpoint } from '../verify/auditLog.check.ts';
import type { AgentMemory } from './memory.ts';

type Cosignature = NonNullable<Extract<AgentFrame, { type: 'heartbeat' }>['cosignature']>;

/** The agent as a witness of the audit log: it vouches only for checkpoints that continue those it has seen. */
export class Witness {
  readonly #memory: AgentMemory;
  readonly #key: { readonly agentId: string; readonly privateKey: KeyObject };
  #pending: Cosignature | null = null;

  constructor(memory: AgentMemory, key: { agentId: string; privateKey: KeyObject }) {
    this.#memory = memory;
    this.#key = key;
  }

  /** Takes a checkpoint with its consistency proof. @returns null when it was accepted, else what is wrong. */
  async accept(
    frame: { checkpoint: string; proof: readonly string[] },
    policy: PolicyDocument,
  ): Promise<string | null> {
    const checkpoint = openPolicyCheckpoint(frame.checkpoint, policy);
    if (checkpoint === null) return 'checkpoint is not signed by the pinned log key';
    const back = checkNotBack(checkpoint, this.#memory.checkpoints);
    if (back) return back.detail;
    const { witnessed, checkpoints } = this.#memory;
    const bases = witnessed === null ? [] : [witnessed, ...checkpoints];
    const continues = bases.some((from) => verifyConsistency({ from, to: checkpoint, proof: frame.proof }));
    if (witnessed !== null && !continues)
      return `no proof that ${checkpoint.size} leaves continue ${witnessed.size}`;
    if (witnessed !== null && checkpoint.size < witnessed.size) return null;
    await this.#memory.recordWitnessed(checkpoint);
    const nowMs = Date.now();
    const witness = { name: cosignerName(this.#key.agentId), privateKey: this.#key.privateKey };
    this.#pending = {
      treeSize: checkpoint.size,
      rootSha256: checkpoint.root,
      signature: cosignCheckpoint(checkpoint, witness, nowMs).toString('base64url'),
      at: new Date(nowMs).toISOString(),
    };
    return null;
  }

  /** The cosignature of the newest checkpoint, handed out once. */
  take(): Cosignature | null {
    const cosignature = this.#pending;
    this.#pending = null;
    return cosignature;
  }
}
