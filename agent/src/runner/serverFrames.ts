import type { ServerFrame } from '#contract/agent-link.ts';
import type { Envelope } from '#contract/dsse.ts';
import type { PolicyDocument } from '#contract/trust.ts';
import { storePolicies } from '../enrol/identity.ts';
import type { Identity } from '../enrol/identity.ts';
import { decodeBase64Url } from '../trust/bytes.ts';
import { openLock } from '../verify/lockDocument.check.ts';
import { acceptNextPolicy } from '../verify/policyChain.check.ts';
import { isRefusal } from '../verify/refusal.ts';
import type { AgentMemory } from './memory.ts';

type Alarm = (code: string, detail: string) => void;

/** The pinned policy and its chain; grows by one signed epoch at a time. */
export class PinnedPolicy {
  readonly #directory: string;
  #policy: PolicyDocument;
  #envelopes: readonly Envelope[];

  constructor(directory: string, identity: Identity) {
    this.#directory = directory;
    this.#policy = identity.policy;
    this.#envelopes = identity.policies;
  }

  get document(): PolicyDocument {
    return this.#policy;
  }

  /** Takes documents oldest first; those already pinned are skipped, the first bad one ends it. */
  async accept(envelopes: readonly Envelope[], onAlarm: Alarm): Promise<void> {
    const known = new Set(this.#envelopes.map((one) => one.payload));
    for (const envelope of envelopes) {
      if (known.has(envelope.payload)) continue;
      const next = acceptNextPolicy(envelope, this.#policy);
      if (isRefusal(next)) {
        onAlarm('policy_refused', `${next.code}: ${next.detail}`);
        return;
      }
      await storePolicies(this.#directory, [...this.#envelopes, envelope]);
      this.#envelopes = [...this.#envelopes, envelope];
      this.#policy = next;
    }
  }
}

/** What the agent knows of the emergency stop, and since when. */
export class LockWatch {
  readonly #memory: AgentMemory;
  #seenAtMs: number | null = null;
  #waiting: (() => void)[] = [];

  constructor(memory: AgentMemory) {
    this.#memory = memory;
  }

  get seenAtMs(): number | null {
    return this.#seenAtMs;
  }

  /** Takes the server's word about the lock. A word that proves nothing new still shows that the server speaks of it. */
  async accept(
    frame: Extract<ServerFrame, { type: 'lock' }>,
    policy: PolicyDocument,
    onAlarm: Alarm,
  ): Promise<void> {
    if (frame.envelope !== null) {
      const lock = openLock(frame.envelope, policy, this.#memory.lockSerial);
      const isRepeat = isRefusal(lock) && lock.code === 'replayed';
      if (isRefusal(lock) && !isRepeat) {
        // The view is not refreshed: a lock that cannot be read must not pass for "open".
        onAlarm('lock_refused', `${lock.code}: ${lock.detail}`);
        return;
      }
      if (!isRefusal(lock)) await this.#memory.recordLock(lock);
      if (isRepeat && this.#isBehind(frame.envelope)) {
        onAlarm('lock_went_back', `the server shows a lock older than serial ${this.#memory.lockSerial}`);
        return;
      }
    }
    this.#seenAtMs = Date.now();
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #isBehind(envelope: Envelope): boolean {
    const text = decodeBase64Url(envelope.payload)?.toString('utf8') ?? '{}';
    return Number((JSON.parse(text) as { serial?: unknown }).serial) < this.#memory.lockSerial;
  }

  /** Resolves when the server has spoken of the lock, or after `limitMs`. */
  async firstSeen(limitMs: number): Promise<void> {
    if (this.#seenAtMs !== null) return;
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
      setTimeout(resolve, limitMs).unref();
    });
  }
}
