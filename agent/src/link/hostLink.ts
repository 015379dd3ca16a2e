import type { AgentFrame, ServerFrame } from '#contract/agent-link.ts';

/** What a link asks of the agent. */
export interface LinkHandlers {
  /** Read anew at each connection, so that a renewed certificate is used at once. */
  readonly credentials: () => LinkCredentials;
  readonly hello: () => AgentFrame;
  readonly heartbeat: () => AgentFrame;
  /** Commands are open or a guard is armed: whoever reaches this host must stay near. */
  readonly isBusy: () => Promise<boolean>;
  readonly onFrame: (frame: ServerFrame) => void;
  readonly onClosed: (why: string) => void;
  /** A frame that does not fit the contract; it is dropped. */
  readonly onBadFrame: (detail: string) => void;
}

export interface LinkCredentials {
  readonly url: string;
  readonly caPem: string;
  readonly chainPem: string;
  readonly keyPem: string;
}

/** The way between this host and the server: one WebSocket that the agent holds, or visits over SSH. */
export interface HostLink {
  start(): void;
  stop(): void;
  /** Ends the present connection; the next one uses fresh credentials. */
  reconnect(): void;
  /** True while the server is there. */
  readonly isUp: boolean;
  /** Local instant (ms) of the last word from the server; null when none ever came. */
  readonly lastHeardMs: number | null;
  /** Hands a frame over, or drops it when the server is away: what matters is sent again from the journal. */
  send(frame: AgentFrame): boolean;
}
