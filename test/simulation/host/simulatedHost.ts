import { Disk, type DiskMachine } from '../os/disk.ts';
import { loop, type Program } from '../os/loop.ts';
import { SimulatedDrain } from './simulatedDrain.ts';

/** Packages in place, by name: their version. */
export type Packages = Map<string, string>;

interface Subvolume {
  readonly id: number;
  readonly uuid: string;
  readonly isReadOnly: boolean;
  packages: Packages;
}

/** What a program of the host leaves behind. */
export interface Answer {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Something that really happened to a host. */
export interface HostEffect {
  readonly atMs: number;
  readonly kind:
    'installed' | 'in_place' | 'snapshot' | 'went_down' | 'came_up' | 'switched' | 'drained' | 'back';
  /** Command, host run or boot that it belongs to. */
  readonly of: string;
}

const guardianEveryMs = 5000;
const stateRoot = '/var/lib/atlas-agent';
const ok = (stdout = ''): Answer => ({ exitCode: 0, stdout, stderr: '' });
const no = (stderr: string): Answer => ({ exitCode: 1, stdout: '', stderr });

/** Lines `name=value`; the last one wins. */
function valueOf(text: string, name: string): string | null {
  const line = text.split('\n').findLast((one) => one.startsWith(`${name}=`));
  return line === undefined ? null : line.slice(name.length + 1);
}

/** Mishaps around what an agent asks of its host: meanwhile the agent or its machine may die. The world sets it. */
export const hostFaults = {
  /** Probability at what takes the host away from where it was: a revert, a restart, an installation. */
  atEffect: 0,
  /** Probability at any other program. */
  otherwise: 0,
  /** Probability that a service or the site's program does not do what it is told. */
  work: 0,
  strike: (_machine: SimulatedHost): void => undefined,
};

const effects = /^(guardian|drain|systemctl reboot)/;

/** Hosts of every world so far: what the agent's modules remember by path must not meet another world's. */
let made = 0;

/** A Debian host on btrfs: snapshots, packages, services, a guardian on a timer, and power that may go. */
export class SimulatedHost implements DiskMachine {
  readonly name: string;
  readonly #number = (made += 1);
  readonly disk = new Disk();
  skewMs = 0;
  isUp = false;
  bootId = '';
  bootedAtMs = 0;
  readonly effects: HostEffect[] = [];
  readonly drain = new SimulatedDrain(this);
  /** Called when a command begins to change packages. */
  onChange: (commandId: string) => void = () => undefined;
  /** Versions after which a service does not come up any more, as `name=version`. */
  readonly broken = new Set<string>();
  /** What apt does now, by command. */
  readonly installs = new Map<string, 'running' | 'done' | 'failed' | 'cut_short'>();
  #subvolumes = new Map<string, Subvolume>();
  #nextId = 300;
  #rootId = 256;
  #defaultId = 256;
  #life = 0;
  #boots = 0;
  #goesDown = false;
  #system: Program | null = null;
  readonly #startAgent: (host: SimulatedHost, stateRoot: string) => Program;
  #agent: Program | null = null;

  constructor(
    name: string,
    packages: Packages,
    startAgent: (host: SimulatedHost, stateRoot: string) => Program,
  ) {
    this.name = name;
    this.#startAgent = startAgent;
    this.#subvolumes.set('/@', { id: 256, uuid: `${name}-root`, isReadOnly: false, packages });
    const { special } = this.disk;
    this.disk.makeFolder(stateRoot);
    special.set('/proc/sys/kernel/random/boot_id', () => `${this.bootId}\n`);
    special.set('/proc/uptime', () => `${(loop.nowMs - this.bootedAtMs) / 1000} 0.0\n`);
    special.set('/proc/1/stat', () => `1 (systemd) S ${'0 '.repeat(40)}`);
    special.set('/proc/cmdline', () => '');
    special.set('/proc/self/mountinfo', () => this.#mounts());
  }

  get packages(): Packages {
    return this.#root().packages;
  }

  get agent(): Program | null {
    return this.#agent;
  }

  #root(): Subvolume {
    const root = [...this.#subvolumes.values()].find(({ id }) => id === this.#rootId);
    if (root === undefined) throw new Error(`${this.name} has no root`);
    return root;
  }

  #mounts(): string {
    const line = (point: string, id: number) => `1 1 0:1 /@ ${point} rw - btrfs /dev/a rw,subvolid=${id}`;
    return `${line('/', this.#rootId)}\n${line(this.#statePath(), 5)}\n`;
  }

  /** A path of its own for each life of an agent, for what the program remembers by path. */
  #statePath(): string {
    return `/${this.name}-${this.#number}.${this.#life}${stateRoot}`;
  }

  note(kind: HostEffect['kind'], of: string): void {
    this.effects.push({ atMs: loop.nowMs, kind, of });
  }

  start(): void {
    if (this.isUp) return;
    this.isUp = true;
    this.#goesDown = false;
    this.#boots += 1;
    this.bootId = `${this.name}-boot-${this.#boots}`;
    this.bootedAtMs = loop.nowMs;
    this.#rootId = this.#defaultId;
    this.drain.boot();
    for (const [id, state] of this.installs) if (state === 'running') this.installs.set(id, 'cut_short');
    this.note('came_up', this.bootId);
    this.#system = { name: `${this.name} system`, machine: this, alive: true, atDeath: [] };
    loop.after(loop.chance.between(0, guardianEveryMs), () => this.#watch(), this.#system);
    loop.after(loop.chance.between(200, 3000), () => this.startAgent(), this.#system);
  }

  startAgent(): void {
    if (!this.isUp || this.#agent?.alive === true) return;
    this.#life += 1;
    this.#agent = this.#startAgent(this, this.#statePath());
    const { bootId } = this;
    // The service manager starts it again.
    this.#agent.atDeath.push(() => {
      loop.after(
        5000,
        () => {
          if (this.bootId === bootId) this.startAgent();
        },
        null,
      );
    });
  }

  killAgent(): void {
    if (this.#agent !== null) loop.kill(this.#agent);
  }

  /** In good order when asked for, or as when the plug is pulled; comes back by itself. */
  goDown(how: 'orderly' | 'power', offMs: number): void {
    if (!this.isUp) return;
    this.isUp = false;
    this.note('went_down', this.bootId);
    if (this.#system !== null) loop.kill(this.#system);
    this.killAgent();
    if (how === 'orderly') this.disk.syncAll();
    else this.disk.losePower();
    loop.after(offMs, () => this.start(), null);
  }

  /** Goes down in good order a moment after it was asked to. */
  #requestReboot(): void {
    if (this.#goesDown) return;
    this.#goesDown = true;
    const boot = this.bootId;
    // A service that does not want to stop may hold it up.
    const isHeldUp = loop.chance.happens(0.25);
    loop.after(
      isHeldUp ? loop.chance.between(5000, 30_000) : loop.chance.between(300, 4000),
      () => {
        if (this.bootId === boot) this.goDown('orderly', loop.chance.between(2000, 30_000));
      },
      null,
    );
  }

  async run(program: string, args: readonly string[]): Promise<Answer> {
    const line = [program.split('/').at(-1), ...args].join(' ');
    this.risk(effects.test(line) ? hostFaults.atEffect : hostFaults.otherwise, 250);
    await loop.sleep(loop.chance.between(5, 200));
    if (line.startsWith('guardian')) return this.#revert();
    if (line.startsWith('drain ')) return this.drain.run(args[1] ?? '');
    if (program === 'btrfs') return this.#btrfs(args);
    if (line === 'systemctl reboot') {
      this.#requestReboot();
      return ok();
    }
    if (line === 'systemctl is-system-running') return ok('running\n');
    if (line === 'systemctl is-active atlas-guardian.timer') return ok('active\n');
    if (line.startsWith('systemctl is-active '))
      return this.drain.isStopped(args[1] ?? '')
        ? { exitCode: 3, stdout: 'inactive\n', stderr: '' }
        : this.#unit();
    return ok();
  }

  /** Something may happen to it within this time. */
  risk(probability: number, withinMs: number): void {
    if (loop.chance.happens(probability))
      loop.after(loop.chance.between(0, withinMs), () => hostFaults.strike(this), null);
  }

  /** The one service of this host: it is up when every package in place is one with which it comes up. */
  #unit(): Answer {
    const isBroken = [...this.packages].some(([name, version]) => this.broken.has(`${name}=${version}`));
    return isBroken ? { exitCode: 3, stdout: 'failed\n', stderr: '' } : ok('active\n');
  }

  /** apt is at work. */
  get isChanging(): boolean {
    return [...this.installs.values()].includes('running');
  }

  /** Something has just happened to it, or apt is at work. */
  get isBusy(): boolean {
    return this.isChanging || loop.nowMs - (this.effects.at(-1)?.atMs ?? 0) < 10_000;
  }

  /** True when there is a snapshot to go back to. */
  get isGuarded(): boolean {
    return this.#subvolumes.size > 1;
  }

  get isHealthy(): boolean {
    return this.#unit().exitCode === 0;
  }

  #strip(name: string): string {
    return name.replace(/^\/[a-z0-9-]+\.\d+(?=\/)/, '');
  }

  #btrfs(args: readonly string[]): Answer {
    const [kind, verb, ...rest] = args;
    if (kind === 'filesystem') return ok();
    if (verb === 'get-default') return ok(`ID ${this.#defaultId} gen 1 top level 5 path @\n`);
    if (verb === 'snapshot') return this.#snapshot(this.#strip(rest.at(-1) ?? ''));
    if (verb === 'delete') {
      const target = rest.includes('--subvolid') ? Number(rest.at(-2)) : this.#strip(rest.at(-1) ?? '');
      for (const [name, one] of this.#subvolumes)
        if (name === target || one.id === target) this.#subvolumes.delete(name);
      return ok();
    }
    const found = rest[0] === '/' ? this.#root() : this.#subvolumes.get(this.#strip(rest[0] ?? ''));
    if (found === undefined) return no('not a subvolume');
    const flags = found.isReadOnly ? 'readonly' : '-';
    return ok(`@\n\tUUID: \t\t${found.uuid}\n\tSubvolume ID: \t${found.id}\n\tFlags: \t${flags}\n`);
  }

  #snapshot(name: string): Answer {
    if (this.#subvolumes.has(name)) return no('target exists');
    const id = (this.#nextId += 1);
    const packages = new Map(this.packages);
    this.#subvolumes.set(name, { id, uuid: `${this.name}-${id}`, isReadOnly: true, packages });
    this.note('snapshot', name.split('/').at(-1) ?? '');
    return ok();
  }

  #watch(): void {
    loop.after(guardianEveryMs, () => this.#watch());
    const armed = this.disk.text(`${stateRoot}/guardian/armed`);
    const firing = this.disk.text(`${stateRoot}/guardian/firing`);
    if (firing === null && armed !== null) this.#decide(armed);
    const decided = this.disk.text(`${stateRoot}/guardian/firing`);
    const isHere = decided !== null && valueOf(decided, 'boot_id') === this.bootId;
    if (isHere && this.#revert().exitCode === 0) return;
    this.drain.watch(decided !== null, (text) => this.#passed(text, 'deadline'));
  }

  #passed(armed: string, name: string): boolean {
    const isSameBoot = valueOf(armed, 'boot_id') === this.bootId;
    const limit = valueOf(armed, isSameBoot ? `${name}_uptime_s` : `${name}_s`);
    const nowS = isSameBoot ? (loop.nowMs - this.bootedAtMs) / 1000 : loop.localMs / 1000;
    return limit !== null && Math.floor(nowS) >= Number(limit);
  }

  #decide(armed: string): void {
    const isOver = this.#passed(armed, 'deadline');
    if (!isOver && !this.#passed(armed, 'silent')) return;
    const reason = isOver
      ? 'no commit before the deadline'
      : 'the server was silent after the checks were green';
    const now = Math.floor(loop.localMs);
    const lines = [
      'by=guardian',
      `reason=${reason}`,
      `boot_id=${this.bootId}`,
      `detected_ms=${now}`,
      `decided_ms=${now}`,
    ];
    const { disk } = this;
    const file = disk.open(`${stateRoot}/guardian/firing`, 'w');
    if (file === null) return;
    disk.append(file, Buffer.from(`${armed}${lines.join('\n')}\n`));
    disk.sync(`${stateRoot}/guardian/firing`);
    disk.remove(`${stateRoot}/guardian/armed`);
    disk.syncFolder(`${stateRoot}/guardian`);
  }

  /** What the guardian's script does once a revert is decided. */
  #revert(): Answer {
    const { disk } = this;
    const name = `${stateRoot}/guardian/firing`;
    const firing = disk.text(name);
    if (firing === null || valueOf(firing, 'boot_id') !== this.bootId) return ok();
    const path = this.#strip(valueOf(firing, 'snapshot') ?? '');
    const snapshot = this.#subvolumes.get(path);
    if (snapshot === undefined) return no(`guardian: no snapshot of ours: ${path}`);
    let fresh = this.#subvolumes.get(`${path}.root`);
    if (fresh === undefined) {
      const id = (this.#nextId += 1);
      fresh = { id, uuid: `${this.name}-${id}`, isReadOnly: false, packages: new Map(snapshot.packages) };
      this.#subvolumes.set(`${path}.root`, fresh);
    }
    if (valueOf(firing, 'switched_ms') === null) {
      this.#defaultId = fresh.id;
      this.note('switched', path.split('/').at(-1) ?? '');
      const lines = `new_root_id=${fresh.id}\nold_root_id=${this.#rootId}\nswitched_ms=${Math.floor(loop.localMs)}\n`;
      disk.append(disk.get(name), Buffer.from(lines));
    }
    disk.sync(name);
    this.#requestReboot();
    return ok();
  }
}

/** The host on which the calling program runs. */
export function hostHere(): SimulatedHost {
  const machine = loop.program?.machine;
  if (!(machine instanceof SimulatedHost)) throw new Error('this program runs on no simulated host');
  return machine;
}
