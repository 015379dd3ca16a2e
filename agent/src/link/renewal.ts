import type { AgentFrame } from '#contract/agent-link.ts';
import { refuseChain } from '../enrol/certificateChain.ts';
import { createHostKey } from '../enrol/enrol.ts';
import { loadIdentity, storeIdentity } from '../enrol/identity.ts';
import type { Identity } from '../enrol/identity.ts';

/** True from two thirds of a certificate's life on. */
export function isRenewalDue(certificate: { validFrom: string; validTo: string }, nowMs: number): boolean {
  const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  return nowMs >= from + ((to - from) * 2) / 3;
}

/** Asks for a new certificate over a new key, and takes it only when it is over that key. */
export class Renewal {
  readonly #directory: string;
  #pendingKeyPem: string | null = null;

  constructor(identityDirectory: string) {
    this.#directory = identityDirectory;
  }

  /** The frame to send, or null when the certificate is young enough. A host that is only visited has none. */
  async request(identity: Identity, nowMs: number): Promise<AgentFrame | null> {
    if (identity.certificate === null || !isRenewalDue(identity.certificate, nowMs)) return null;
    const { keyPem, csrPem } = await createHostKey(identity.record.agentId);
    this.#pendingKeyPem = keyPem;
    return { type: 'renew', csrPem, generation: identity.record.generation + 1 };
  }

  /** Stores the answer. @returns the identity with its new certificate, or what is wrong with the answer. */
  async accept(chainPem: string, identity: Identity): Promise<Identity | string> {
    const keyPem = this.#pendingKeyPem;
    if (keyPem === null) return 'no certificate was asked for';
    const fault = refuseChain(chainPem, keyPem, Date.now());
    if (fault !== null) return fault;
    const record = { ...identity.record, generation: identity.record.generation + 1 };
    await storeIdentity(this.#directory, { ...identity, record, keyPem, chainPem });
    this.#pendingKeyPem = null;
    return (await loadIdentity(this.#directory)) ?? 'the identity could not be read back';
  }
}
