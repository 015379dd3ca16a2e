import { open, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { runCommand, tailOf } from '../host/command.ts';
import { readBootId } from '../host/boot.ts';
import { syncDirectory, writeDurably } from '../state/durableFile.ts';

/**
 * The guardian is a shell script on a timer, so that it reverts also when this program is dead. The two speak through
 * small files of `name=value` lines: `armed` (a deadline) and `firing` (a revert that has been decided).
 */
export interface ArmedRevert {
  readonly hostRunId: string;
  readonly releaseId: string;
  readonly snapshotPath: string;
  /** Local instant (ms) after which the host reverts unless it was committed. */
  readonly deadlineMs: number;
  /** Earlier deadline while the server is silent; null before the checks were green. */
  readonly silentDeadlineMs: number | null;
}

/** A revert under way, as the script and this program have noted it. */
export interface FiringRevert {
  readonly hostRunId: string;
  readonly releaseId: string;
  readonly by: 'order' | 'agent' | 'guardian';
  readonly reason: string;
  readonly commandId: string | null;
  /** Boot in which the revert was decided. */
  readonly bootId: string;
  readonly detectedAtMs: number;
  readonly decidedAtMs: number;
  readonly switchedAtMs: number | null;
  /** Subvolume that the host should start from. */
  readonly newRootId: number | null;
  readonly oldRootId: number | null;
}

const scriptPath = '/usr/lib/atlas-agent/guardian';

function render(values: Record<string, string | number | null>): string {
  const lines = Object.entries(values).flatMap(([name, value]) =>
    value === null ? [] : [`${name}=${value}`],
  );
  return `${lines.join('\n')}\n`;
}

/** Reads `name=value` lines; the last one wins. */
export function parseLines(text: string): Map<string, string> {
  const pairs = text.split('\n').flatMap((line): [string, string][] => {
    const cut = line.indexOf('=');
    return cut > 0 ? [[line.slice(0, cut), line.slice(cut + 1)]] : [];
  });
  return new Map(pairs);
}

async function readLines(file: string): Promise<Map<string, string> | null> {
  try {
    return parseLines(await readFile(file, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Seconds since the host started. */
export async function uptimeS(): Promise<number> {
  return Math.floor(Number((await readFile('/proc/uptime', 'utf8')).split(' ')[0]));
}

/** One line of plain text: nothing that the script could take for another line. */
function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').slice(0, 500);
}

function asNumber(text: string | undefined): number | null {
  const value = Number(text);
  return text === undefined || text === '' || !Number.isFinite(value) ? null : value;
}

export class Guardian {
  readonly #stateRoot: string;
  readonly #script: string;
  readonly #armed: string;
  readonly #firing: string;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(stateRoot: string, script = scriptPath) {
    this.#stateRoot = stateRoot;
    this.#script = script;
    this.#armed = path.join(stateRoot, 'guardian', 'armed');
    this.#firing = path.join(stateRoot, 'guardian', 'firing');
  }

  /** One change at a time: a deadline that is moved must not come after the one who has just taken it away. */
  #alone<T>(change: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(change);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  /** Writes the deadline. The age of the machine counts while it stays up: a set clock changes nothing. */
  arm(revert: ArmedRevert): Promise<void> {
    return this.#alone(() => this.#write(revert));
  }

  /** Moves the deadline of silence of this host run; nothing when it is not armed any more. */
  moveSilence(hostRunId: string, silentDeadlineMs: number): Promise<void> {
    return this.#alone(async () => {
      const armed = await this.readArmed();
      if (armed?.hostRunId === hostRunId) await this.#write({ ...armed, silentDeadlineMs });
    });
  }

  async #write(revert: ArmedRevert): Promise<void> {
    const nowMs = Date.now();
    const up = await uptimeS();
    const inUptime = (atMs: number) => up + Math.ceil((atMs - nowMs) / 1000);
    const silent = revert.silentDeadlineMs;
    const text = render({
      host_run_id: revert.hostRunId,
      release_id: revert.releaseId,
      snapshot: revert.snapshotPath,
      boot_id: await readBootId(),
      deadline_s: Math.ceil(revert.deadlineMs / 1000),
      deadline_uptime_s: inUptime(revert.deadlineMs),
      silent_s: silent === null ? null : Math.ceil(silent / 1000),
      silent_uptime_s: silent === null ? null : inUptime(silent),
    });
    await writeDurably(this.#armed, text);
  }

  /**
   * Takes the deadline away after a commit, for good: one that came back with the power would turn back a host that was
   * called committed. False when the guardian was faster.
   */
  disarm(): Promise<boolean> {
    return this.#alone(async () => {
      await rm(this.#armed, { force: true });
      await syncDirectory(path.dirname(this.#armed));
      return (await this.readFiring()) === null;
    });
  }

  async readArmed(): Promise<ArmedRevert | null> {
    const lines = await readLines(this.#armed);
    if (lines === null) return null;
    const silentS = asNumber(lines.get('silent_s'));
    return {
      hostRunId: lines.get('host_run_id') ?? '',
      releaseId: lines.get('release_id') ?? '',
      snapshotPath: lines.get('snapshot') ?? '',
      deadlineMs: (asNumber(lines.get('deadline_s')) ?? 0) * 1000,
      silentDeadlineMs: silentS === null ? null : silentS * 1000,
    };
  }

  async readFiring(): Promise<FiringRevert | null> {
    const lines = await readLines(this.#firing);
    if (lines === null) return null;
    const by = lines.get('by');
    const detectedAtMs = asNumber(lines.get('detected_ms')) ?? 0;
    return {
      hostRunId: lines.get('host_run_id') ?? '',
      releaseId: lines.get('release_id') ?? '',
      by: by === 'order' || by === 'agent' ? by : 'guardian',
      reason: lines.get('reason') ?? '',
      commandId: lines.get('command_id') ?? null,
      bootId: lines.get('boot_id') ?? '',
      detectedAtMs,
      decidedAtMs: asNumber(lines.get('decided_ms')) ?? detectedAtMs,
      switchedAtMs: asNumber(lines.get('switched_ms')),
      newRootId: asNumber(lines.get('new_root_id')),
      oldRootId: asNumber(lines.get('old_root_id')),
    };
  }

  /**
   * Decides a revert now and lets the script do it. Without an order it needs the guard to be armed still: a commit may
   * have been faster. An order that finds the host on its way back already joins that. @returns null when the restart is under way or not needed any more, else why not.
   */
  async fire(decision: {
    readonly hostRunId: string;
    readonly releaseId: string;
    readonly snapshotPath: string;
    readonly by: 'order' | 'agent' | 'guardian';
    readonly reason: string;
    readonly commandId: string | null;
    readonly detectedAtMs: number;
  }): Promise<string | null> {
    const bootId = await readBootId();
    const text = render({
      host_run_id: decision.hostRunId,
      release_id: decision.releaseId,
      snapshot: decision.snapshotPath,
      by: decision.by,
      reason: oneLine(decision.reason),
      command_id: decision.commandId,
      boot_id: bootId,
      detected_ms: decision.detectedAtMs,
      decided_ms: Date.now(),
    });
    const isDecided = await this.#alone(async () => {
      if (decision.by !== 'order' && (await this.readArmed()) === null) return false;
      const under = await this.readFiring();
      if (decision.by === 'order' && under?.hostRunId === decision.hostRunId && under.bootId === bootId) {
        // What the script has noted of the revert stands: written anew, it would turn the root a second time.
        await this.#note({ by: 'order', command_id: decision.commandId });
        return true;
      }
      await writeDurably(this.#firing, text);
      await rm(this.#armed, { force: true });
      return true;
    });
    if (!isDecided) return null;
    const done = await runCommand(this.#script, [this.#stateRoot], { timeoutMs: 120_000 });
    return done.exitCode === 0 ? null : tailOf(`${done.stdout}${done.stderr}`, 800);
  }

  /** Adds lines to the record of the revert, beside those of the script, which may be writing too. */
  async #note(values: Record<string, string | null>): Promise<void> {
    const record = await open(this.#firing, 'a');
    try {
      await record.writeFile(render(values));
      await record.sync();
    } finally {
      await record.close();
    }
  }

  /** Notes under which command id the agent will report a revert that no command asked for. */
  async noteCommand(commandId: string): Promise<void> {
    await writeDurably(this.#firing, `${await readFile(this.#firing, 'utf8')}command_id=${commandId}\n`);
  }

  /** Ends the story of a revert: the record stays beside for people. */
  async close(): Promise<void> {
    await rm(this.#armed, { force: true });
    await rename(this.#firing, path.join(path.dirname(this.#firing), 'last')).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      },
    );
    await syncDirectory(path.dirname(this.#firing));
  }
}
