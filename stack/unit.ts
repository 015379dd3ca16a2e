import type { Text } from './text.ts';

/** Tells the person what a unit is doing now. */
export type Report = (text: Text) => void;

/** What a unit's own work is given: words for the person, and the news that everything is being stopped. */
export type Work = { report: Report; signal: AbortSignal };

export type Command = {
  file: string;
  args: string[];
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Run as this system user (only root can). */
  uid?: number;
  gid?: number;
};

/** A program that must stay up. */
export type Service = {
  kind: 'service';
  name: string;
  /** Names of the units that must be ready before. */
  after: string[];
  /** Work before the first start, done while other units start: files, builds. May be long. */
  prepare?: (work: Work) => Promise<void>;
  command: () => Command;
  isReady: () => Promise<boolean>;
  readyTimeoutMs: number;
  /** Work once it answers for the first time: roles, databases. Must be harmless when repeated. */
  afterReady?: (work: Work) => Promise<void>;
  stopSignal: NodeJS.Signals;
  stopTimeoutMs: number;
};

/** A step that ends by itself; units after it wait for its success. */
export type Task = {
  kind: 'task';
  name: string;
  after: string[];
  run: (work: Work) => Promise<void>;
};

export type Unit = Service | Task;

export type UnitState = 'waiting' | 'preparing' | 'starting' | 'ready' | 'restarting' | 'failed' | 'stopped';

export type UnitStatus = {
  state: UnitState;
  /** What it is doing, or why it failed. */
  text?: Text;
  /** Milliseconds from the stack's start until it was ready. */
  readyAfterMs?: number;
  restarts: number;
  pid?: number;
};
