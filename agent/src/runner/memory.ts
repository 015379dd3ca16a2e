import type { LockDocument } from '#contract/trust.ts';
import { readJson, writeDurably } from '../state/durableFile.ts';
import type { SeenCheckpoint } from '../verify/agentView.ts';

interface MemoryContent {
  lockSerial: number;
  tenantLocked: boolean;
  lockedRunIds: string[];
  /** Newest last; kept so that an older checkpoint can be told from a forked one. */
  checkpoints: SeenCheckpoint[];
  /** Last checkpoint that was proved to continue the one before: what this agent tells the server it has seen. */
  witnessed: SeenCheckpoint | null;
  /** Latest instant proved by a signature (ms). */
  provedTimeMs: number;
  /** Where the server's nodes were reached when they last said so. */
  servers: string[];
  /** Last request for another version of which the server holds what came of it. */
  buildTold: string | null;
}

const maxCheckpoints = 128;

/** What the agent must not forget besides its journal: the lock, the log's size, the latest proved time. */
export class AgentMemory {
  readonly #file: string;
  #content: MemoryContent = {
    lockSerial: 0,
    tenantLocked: false,
    lockedRunIds: [],
    checkpoints: [],
    witnessed: null,
    provedTimeMs: 0,
    servers: [],
    buildTold: null,
  };
  #writing: Promise<void> = Promise.resolve();

  private constructor(file: string) {
    this.#file = file;
  }

  static async load(file: string): Promise<AgentMemory> {
    const memory = new AgentMemory(file);
    const stored = (await readJson(file)) as Partial<MemoryContent> | null;
    Object.assign(memory.#content, stored ?? {});
    return memory;
  }

  get lockSerial(): number {
    return this.#content.lockSerial;
  }

  get lock(): { readonly tenantLocked: boolean; readonly lockedRunIds: readonly string[] } {
    return this.#content;
  }

  get checkpoints(): readonly SeenCheckpoint[] {
    return this.#content.checkpoints;
  }

  get witnessed(): SeenCheckpoint | null {
    return this.#content.witnessed;
  }

  get provedTimeMs(): number {
    return this.#content.provedTimeMs;
  }

  get servers(): readonly string[] {
    return this.#content.servers;
  }

  get buildTold(): string | null {
    return this.#content.buildTold;
  }

  /** Remembers that the server holds what came of this request. */
  async recordBuildTold(askId: string): Promise<void> {
    this.#content.buildTold = askId;
    await this.#save();
  }

  /** Remembers where the server's nodes are reached. */
  readonly recordServers = async (servers: readonly string[]): Promise<void> => {
    this.#content.servers = [...servers];
    await this.#save();
  };

  /** Remembers an accepted lock or its end. */
  async recordLock(lock: LockDocument): Promise<void> {
    const content = this.#content;
    content.lockSerial = lock.serial;
    const isLocked = lock.state === 'locked';
    const { scope } = lock;
    if (scope.kind === 'tenant') content.tenantLocked = isLocked;
    else {
      const others = content.lockedRunIds.filter((runId) => runId !== scope.runId);
      content.lockedRunIds = isLocked ? [...others, scope.runId] : others;
    }
    await this.recordTime(Date.parse(lock.issuedAt));
  }

  /** Remembers a verified checkpoint; nothing when it is known. */
  async recordCheckpoint({ size, root }: SeenCheckpoint): Promise<void> {
    const { checkpoints } = this.#content;
    if (checkpoints.some((one) => one.size === size)) return;
    const sorted = [...checkpoints, { size, root }].sort((a, b) => a.size - b.size);
    this.#content.checkpoints = sorted.slice(-maxCheckpoints);
    await this.#save();
  }

  /** Remembers a checkpoint that continues the last witnessed one. */
  async recordWitnessed(checkpoint: SeenCheckpoint): Promise<void> {
    this.#content.witnessed = { size: checkpoint.size, root: checkpoint.root };
    await this.recordCheckpoint(checkpoint);
    await this.#save();
  }

  /** Moves the floor of time up, never down. */
  async recordTime(atMs: number): Promise<void> {
    this.#content.provedTimeMs = Math.max(this.#content.provedTimeMs, atMs);
    await this.#save();
  }

  #save(): Promise<void> {
    const text = JSON.stringify(this.#content);
    // A full disk may have refused the write before this one: that was its own caller's matter.
    this.#writing = this.#writing.catch(() => undefined).then(() => writeDurably(this.#file, text));
    return this.#writing;
  }
}
