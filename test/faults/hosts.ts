import { spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { decodeJournal } from '../../agent/src/journal/frames.ts';
import { JournalIndex } from '../../agent/src/journal/journal.index.ts';
import type { JournalRecord } from '../../agent/src/journal/journal.record.ts';
import { endProcess, identify, type OwnProcess } from '../../stack/ownProcess.ts';
import { openLog } from '../../stack/logFile.ts';
import { behaviourFile, readEffects, wellBehaved, type Behaviour, type Effect } from './recordingPackages.ts';

/** As the unit of the agent's package says: it is started again two seconds after it ended, for ever. */
const restartAfterMs = 2_000;
const program = path.join(import.meta.dirname, 'agent.main.ts');

/** How the process of a host is started: a program in front of ours, and more environment. */
export interface Wrapping {
  readonly line?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

/**
 * One host: a folder with the agent's state, a machine and a boot id and a name of its own (mounts and a host name that only
 * its process sees), and the agent's process, which is started again when it ends, as its service manager does.
 */
export class Host {
  readonly name: string;
  readonly directory: string;
  /** Changes what the next start is wrapped in. */
  wrapping: Wrapping = {};
  readonly #logDir: string;
  #ids: { hostId: string; agentId: string } = { hostId: '', agentId: '' };
  #own: OwnProcess | undefined;
  #isWanted = false;
  #watching: Promise<void> = Promise.resolve();
  starts = 0;

  constructor(parent: string, name: string) {
    this.name = name;
    this.directory = path.join(parent, name);
    this.#logDir = parent;
    mkdirSync(path.join(this.directory, 'state'), { recursive: true, mode: 0o700 });
    writeFileSync(path.join(this.directory, 'machine-id'), `${randomBytes(16).toString('hex')}\n`);
    this.reboot();
    this.behave(wellBehaved);
  }

  get hostId(): string {
    return this.#ids.hostId;
  }

  get agentId(): string {
    return this.#ids.agentId;
  }

  get stateRoot(): string {
    return path.join(this.directory, 'state');
  }

  get journalFile(): string {
    return path.join(this.stateRoot, 'journal');
  }

  behave(behaviour: Partial<Behaviour>): void {
    writeFileSync(behaviourFile(this.directory), JSON.stringify({ ...wellBehaved, ...behaviour }));
  }

  /** The next start of the agent is in another boot of the host. */
  reboot(): void {
    writeFileSync(path.join(this.directory, 'boot-id'), `${randomUUID()}\n`);
  }

  /** The process that runs now; null between an end and the next start. */
  get pid(): number | null {
    return this.#own?.pid ?? null;
  }

  async enrol(token: string): Promise<void> {
    const child = this.#spawn(['enrol', this.directory, token]);
    const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
    if (code !== 0) throw new Error(`${this.name} was not enrolled: ${this.log().slice(-500)}`);
    this.#ids = JSON.parse(readFileSync(path.join(this.directory, 'ids.json'), 'utf8')) as {
      hostId: string;
      agentId: string;
    };
  }

  log(): string {
    return readFileSync(path.join(this.#logDir, 'logs', `${this.name}.log`), 'utf8');
  }

  start(): void {
    if (this.#isWanted) return;
    this.#isWanted = true;
    this.#watching = this.#watch();
  }

  async stop(): Promise<void> {
    this.#isWanted = false;
    const own = this.#own;
    if (own !== undefined) {
      // A process that was frozen hears nothing.
      this.signal('SIGCONT');
      await endProcess(own, { signal: 'SIGTERM', timeoutMs: 5_000 });
    }
    await this.#watching;
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#own === undefined) return;
    try {
      process.kill(this.#own.pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  /** What really happened to this host, by its own record. */
  effects(): Promise<Effect[]> {
    return readEffects(this.directory);
  }

  /** What the agent has on its disk, read by the product's own code. */
  async journal(): Promise<JournalIndex> {
    const index = new JournalIndex();
    for (const { payload, head } of decodeJournal(await readFile(this.journalFile)).frames)
      index.apply(JSON.parse(payload.toString('utf8')) as JournalRecord, head.toString('hex'));
    return index;
  }

  async #watch(): Promise<void> {
    while (this.#isWanted) {
      const child = this.#spawn(['run', this.directory]);
      this.starts += 1;
      const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      this.#own = child.pid === undefined ? undefined : identify(child.pid);
      await ended;
      this.#own = undefined;
      for (let waited = 0; waited < restartAfterMs && this.#isWanted; waited += 100) await delay(100);
    }
  }

  #spawn(args: readonly string[]) {
    const { line = [], environment = {} } = this.wrapping;
    const mount = (file: string, over: string): string => `mount --bind "${this.directory}/${file}" ${over}`;
    const script = [
      mount('machine-id', '/etc/machine-id'),
      mount('boot-id', '/proc/sys/kernel/random/boot_id'),
      `hostname ${this.name}`,
      'exec "$@"',
    ].join(' && ');
    const own = ['unshare', '--mount', '--uts', '--propagation', 'private', '--', 'sh', '-c', script, 'sh'];
    const [file = '', ...rest] = [...own, ...line, process.execPath, program, ...args];
    const log = openLog(this.#logDir, this.name);
    return spawn(file, rest, {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...environment },
      detached: true,
    });
  }
}
