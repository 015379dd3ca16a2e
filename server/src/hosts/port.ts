import type { AgentFrame, ServerFrame } from '#contract/agent-link.ts';

/** What came of handing a frame over. `congested`: this agent reads too slowly, nothing was queued; try again later. */
export type SendOutcome = 'sent' | 'not_connected' | 'congested';

/** An agent that was recognised by its certificate. */
export interface AgentIdentity {
  readonly tenantId: string;
  readonly agentId: string;
  readonly hostId: string;
  /** Number of the certificate that it presented. */
  readonly generation: number;
}

/** A client certificate whose chain TLS has verified; what it says is believed only after `authenticate`. */
export interface PeerCertificate {
  readonly sha256: Buffer;
  readonly serial: string;
  readonly tenantId: string;
  readonly agentId: string;
  readonly notAfter: Date;
}

export type HelloFrame = Extract<AgentFrame, { type: 'hello' }>;
/** Every frame but the first one. */
export type LaterFrame = Exclude<AgentFrame, HelloFrame>;

/**
 * Why a connection ended. `replaced`: the same agent has opened another one; `silent`: three heartbeats were missed.
 */
export type DisconnectReason = 'closed' | 'silent' | 'replaced' | 'refused' | 'protocol_error' | 'stopping';

/** Two live connections of one agent, from two boots at the same time. */
export interface CloneEvidence {
  readonly firstBootId: string;
  readonly secondBootId: string;
}

/** What the product does with agents; the way of reaching them calls it. Frames of one agent are never concurrent. */
export interface HostsHandlers {
  /** The agent of this certificate, or null to refuse it: unknown, revoked, expired, superseded. */
  readonly authenticate: (certificate: PeerCertificate) => Promise<AgentIdentity | null>;
  /** Called once per connection after its `hello`; the answer is sent first. One that begins with `refused` ends the connection. */
  readonly connected: (identity: AgentIdentity, hello: HelloFrame) => Promise<ServerFrame[]>;
  readonly disconnected: (identity: AgentIdentity, reason: DisconnectReason) => Promise<void>;
  /** Two hosts answer at the same time with one identity; both connections are being closed. */
  readonly cloned: (identity: AgentIdentity, evidence: CloneEvidence) => Promise<void>;
  /** A frame that fits the contract; a rejection closes the connection, and the agent sends again what was not acknowledged. */
  readonly frame: (identity: AgentIdentity, frame: LaterFrame) => Promise<void>;
}

/** A way to reach hosts. Every implementation passes the same conformance suite. */
export interface HostsPort {
  readonly start: (handlers: HostsHandlers) => Promise<void>;
  /** Closes every connection and tells the agents when to come back. */
  readonly stop: () => Promise<void>;
  /** Queues a frame in order; frames of one turn of the event loop leave together. Being `sent` is no proof of arrival. */
  readonly send: (agentId: string, frame: ServerFrame) => SendOutcome;
  readonly isConnected: (agentId: string) => boolean;
  readonly connectedAgents: () => Iterable<AgentIdentity>;
  /** Ends the connection of an agent, if there is one, saying why and when to come back. */
  readonly disconnect: (agentId: string, code: string, retryAfterMs?: number) => void;
}
