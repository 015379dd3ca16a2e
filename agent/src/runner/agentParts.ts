import type { PackageProvider } from '../host/packages.port.ts';
import type { Journal } from '../journal/journal.ts';
import type { HostLink, LinkHandlers } from '../link/hostLink.ts';
import type { StateDirectory } from '../state/stateDirectory.ts';
import type { AgentMemory } from './memory.ts';
import type { VerbTable } from './verb.ts';

/** What touches the host. */
export interface Hands {
  readonly verbs: VerbTable;
  readonly provider: PackageProvider | null;
}

export interface AgentParts {
  readonly state: StateDirectory;
  readonly journal: Journal;
  readonly memory: AgentMemory;
  readonly bootId: string;
  readonly bootedAt: string;
  readonly provider: PackageProvider | null;
  /** Verbs in place of those that act on this host. */
  readonly verbs: VerbTable | null;
  readonly createLink: CreateLink;
}

/** Makes the way to the server; the WebSocket of `AgentLink` unless somebody else brings the frames. */
export type CreateLink = (handlers: LinkHandlers) => HostLink;
