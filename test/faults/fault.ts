import type { Chance } from './chance.ts';
import type { FaultWorld, WorldBend } from './world.ts';

/** Something of the machine without which a fault cannot be provoked. */
export type Need =
  'root' | 'faketime' | 'fiu' | 'memoryCgroup' | 'networkNamespace' | 'timeNamespace' | 'loop';

/** What a fault is given: a running installation with hosts at work, and chance that comes from the seed alone. */
export interface Stage {
  readonly world: FaultWorld;
  readonly chance: Chance;
  /** True in the short run of every day: waits are shortened, rounds are fewer. */
  readonly isSmoke: boolean;
  /** Says what is being done, for whoever watches. */
  readonly say: (text: string) => void;
}

/** What the injection adds to the judgement of the history. */
export interface Injected {
  /** Instant (ms) from which the time to recover counts; the end of the injection when absent. */
  readonly healedAtMs?: number;
  /** Broken expectations of this very fault, in words. */
  readonly broken?: readonly string[];
  /** What was done and seen, with figures, for the table. */
  readonly seen?: string;
  /** Names of hosts whose journal is no witness any more, for it was taken away or was lied to; their own record of effects is. */
  readonly forgetful?: readonly string[];
  /** Nothing is judged after the injection, which has judged for itself: the history that was put back is not the one that was lived. */
  readonly isFinal?: boolean;
}

interface FaultBase {
  /** As in the table: F01 … F48. */
  readonly ids: readonly string[];
  readonly title: string;
  readonly method: string;
  readonly invariant: string;
  /** Part of the run of every day. */
  readonly isSmoke?: true;
}

/** A fault that is provoked under load on the real installation. */
export interface LiveFault extends FaultBase {
  readonly kind: 'live';
  readonly needs?: readonly Need[];
  /** A host may end otherwise than committed without a promise being broken. */
  readonly mayHarmHosts?: true;
  /** The installation is not used again after this fault. */
  readonly spoils?: true;
  /** Bound on "it recovers at all"; the time itself is reported, never judged. Default 120 s. */
  readonly recoverWithinMs?: number;
  /** An installation made for this fault alone, bent before it starts. */
  readonly bend?: () => Promise<WorldBend>;
  readonly inject: (stage: Stage) => Promise<Injected | undefined>;
}

/** A fault that another program of this tree provokes; it is run here, and its verdict is taken. */
export interface ProvenFault extends FaultBase {
  readonly kind: 'proven';
  /** Program and arguments under the Node that runs us, from the root of the tree. */
  readonly command: readonly string[];
  /** Reads the verdict out of what it printed. */
  readonly read: (said: string) => { readonly broken: readonly string[]; readonly seen: string };
}

export type Fault = LiveFault | ProvenFault;

/** A fault of the table that is not provoked anywhere yet. */
export interface AbsentFault {
  readonly id: string;
  readonly title: string;
  readonly reason: string;
}

/** How one fault went. */
export interface Outcome {
  readonly ids: readonly string[];
  readonly title: string;
  readonly method: string;
  readonly invariant: string;
  readonly verdict: 'held' | 'broken' | 'not_run';
  /** Why it is broken or was not run; empty when it held. */
  readonly broken: readonly string[];
  readonly recoveredS: number | null;
  readonly seen: string;
  readonly tookS: number;
}
