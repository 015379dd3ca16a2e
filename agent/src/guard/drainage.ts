import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { DrainArgs } from '#contract/verbs.ts';
import { readBootId } from '../host/boot.ts';
import { runCommand, tailOf } from '../host/command.ts';
import { writeDurably } from '../state/durableFile.ts';
import { uptimeS } from './guardian.ts';

/** What stands on the disk while the host's work is away: outside of what a rollback turns back. */
export interface DrainMark {
  readonly hostRunId: string;
  /** Units that were running and were stopped, or were about to be. */
  readonly units: readonly string[];
  /** Everything that was asked for has been taken away. */
  readonly isComplete: boolean;
  /** Why it could not be brought back the last time; null when nobody tried. */
  readonly failure: string | null;
}

const scriptPath = '/usr/lib/atlas-agent/drain';
/** Above the limits of everything that one order may name. */
const scriptLimitMs = 1_790_000;

function valuesOf(text: string, name: string): string[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}=`))
    .map((line) => line.slice(name.length + 1));
}

/**
 * Takes the host's work away and brings it back. A shell script does both, so that the guardian brings it back also when
 * this program is dead; the two speak through a file of `name=value` lines, the mark.
 */
export class Drainage {
  readonly #stateRoot: string;
  readonly #script: string;
  readonly #mark: string;

  constructor(stateRoot: string, script = scriptPath) {
    this.#stateRoot = stateRoot;
    this.#script = script;
    this.#mark = path.join(stateRoot, 'guardian', 'drained');
  }

  /** Null while nothing is away. */
  async read(): Promise<DrainMark | null> {
    const text = await this.#text();
    if (text === null) return null;
    const did = valuesOf(text, 'did').map((line) => line.split(' '));
    return {
      hostRunId: valuesOf(text, 'host_run_id').at(-1) ?? '',
      units: did.flatMap(([kind, name]) => (kind === 'unit' && name !== undefined ? [name] : [])),
      isComplete: valuesOf(text, 'drained_ms').length > 0,
      failure: valuesOf(text, 'failed').at(-1) ?? null,
    };
  }

  async #text(): Promise<string | null> {
    try {
      return await readFile(this.#mark, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  }

  /** Takes the work away in the order given, the site's own program first. @returns null, or what did not go. */
  async drain(hostRunId: string, args: DrainArgs): Promise<string | null> {
    const { hookWithinS, units, returnWithinS } = args;
    const lines = [
      `host_run_id=${hostRunId}`,
      `boot_id=${await readBootId()}`,
      `deadline_s=${Math.ceil(Date.now() / 1000) + returnWithinS}`,
      `deadline_uptime_s=${(await uptimeS()) + returnWithinS}`,
      ...(hookWithinS === undefined ? [] : [`todo=hook ${hookWithinS}`]),
      ...units.map(({ unit, withinS }) => `todo=unit ${unit} ${withinS}`),
    ];
    // On the disk before the first thing goes: whatever dies now, it will be brought back.
    await writeDurably(this.#mark, `${lines.join('\n')}\n`);
    return this.#run('drain');
  }

  /** Brings everything back in the reverse order; nothing to do when it is back. @returns null, or what did not come. */
  undrain(): Promise<string | null> {
    return this.#run('undrain');
  }

  /** Waits for a drain that outlived its agent. @returns whether everything is away. */
  async isAway(): Promise<boolean> {
    return (await this.#run('probe')) === null;
  }

  /** Leaves it to the guardian to bring the work back at its next look, though the deadline is still to come. */
  async giveBack(): Promise<void> {
    await this.#run('due');
  }

  /** True when the guardian looks after what is taken away. */
  async isWatched(): Promise<boolean> {
    const timer = await runCommand('systemctl', ['is-active', 'atlas-guardian.timer'], { timeoutMs: 10_000 });
    return timer.exitCode === 0;
  }

  async #run(work: 'drain' | 'undrain' | 'probe' | 'due'): Promise<string | null> {
    const done = await runCommand(this.#script, [this.#stateRoot, work], { timeoutMs: scriptLimitMs });
    return done.exitCode === 0 ? null : tailOf(`${done.stdout}${done.stderr}`, 800) || `${work} failed`;
  }
}
