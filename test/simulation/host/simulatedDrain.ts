import { loop } from '../os/loop.ts';
import { hostFaults, type Answer, type SimulatedHost } from './simulatedHost.ts';

const folder = '/var/lib/atlas-agent/guardian';
const mark = `${folder}/drained`;
const retryEveryMs = 300_000;

const valuesOf = (text: string | null, name: string): string[] =>
  (text ?? '')
    .split('\n')
    .filter((line) => line.startsWith(`${name}=`))
    .map((line) => line.slice(name.length + 1));

/** The host's services and the site's own program, and the script that takes them away and brings them back. */
export class SimulatedDrain {
  readonly #host: SimulatedHost;
  readonly #stopped = new Set<string>();
  #isBusy = false;
  #triedAtMs = -Infinity;
  /** The site sends nobody to this host. */
  isOut = false;

  constructor(host: SimulatedHost) {
    this.#host = host;
  }

  isStopped(unit: string): boolean {
    return this.#stopped.has(unit);
  }

  /** Services start with the host; what the site was told stays told. Whatever the script was at is cut short. */
  boot(): void {
    this.#stopped.clear();
    this.#isBusy = false;
    this.#triedAtMs = -Infinity;
  }

  /** What the script does for whoever calls it; it goes on when that one dies. */
  async run(work: string): Promise<Answer> {
    while (this.#isBusy) await loop.sleep(200);
    const text = this.#host.disk.text(mark);
    if (work === 'due') this.#due();
    if (work === 'due') return { exitCode: 0, stdout: '', stderr: '' };
    if (work === 'probe') {
      const units = valuesOf(text, 'did').flatMap((line) => line.split(' ')[1] ?? []);
      const isThere = units.some((unit) => unit.includes('.') && !this.#stopped.has(unit));
      const isAway = valuesOf(text, 'drained_ms').length > 0 && !isThere;
      return { exitCode: isAway ? 0 : 1, stdout: '', stderr: '' };
    }
    let fault: string | null | undefined;
    const end = (said: string | null): void => void (fault = said);
    if (work === 'drain') this.#drain(end);
    else this.#undrain(end);
    while (fault === undefined) await loop.sleep(100);
    return { exitCode: fault === null ? 0 : 1, stdout: '', stderr: fault ?? '' };
  }

  /** What the guardian does about it at each of its looks. */
  watch(isReverted: boolean, hasPassed: (text: string) => boolean): void {
    const text = this.#host.disk.text(mark);
    if (text === null || this.#isBusy || loop.nowMs - this.#triedAtMs < retryEveryMs) return;
    if (isReverted || valuesOf(text, 'failed').length > 0 || hasPassed(text)) this.#undrain(() => undefined);
  }

  #note(line: string): void {
    const { disk } = this.#host;
    disk.append(disk.get(mark), Buffer.from(`${line}\n`));
    disk.sync(mark);
  }

  #due(): void {
    const text = this.#host.disk.text(mark);
    if (text !== null && valuesOf(text, 'failed').length === 0) this.#note('failed=nobody brought it back');
  }

  /** One act after the other, each in its time; the end of the boot is the end of it. */
  #inTurn(acts: readonly (() => string | null)[], end: (fault: string | null) => void): void {
    const { bootId } = this.#host;
    this.#isBusy = true;
    const next = (at: number): void => {
      loop.after(
        loop.chance.between(20, 4000),
        () => {
          if (this.#host.bootId !== bootId || !this.#host.isUp) return;
          const fault = acts[at]?.() ?? null;
          if (fault === null && at + 1 < acts.length) {
            next(at + 1);
            return;
          }
          this.#isBusy = false;
          end(fault);
        },
        null,
      );
    };
    next(0);
  }

  #drain(end: (fault: string | null) => void): void {
    const text = this.#host.disk.text(mark);
    const runId = valuesOf(text, 'host_run_id').at(-1) ?? '';
    const acts = valuesOf(text, 'todo').map((line) => (): string | null => {
      const [kind, unit = ''] = line.split(' ');
      this.#note(`did=${line}`);
      this.#host.risk(hostFaults.atEffect, 3000);
      if (kind === 'unit') this.#stopped.add(unit);
      else {
        this.isOut = true;
        this.#host.note('drained', runId);
      }
      return loop.chance.happens(hostFaults.work) ? `${line} failed` : null;
    });
    const done = (): null => {
      this.#note('drained_ms=1');
      return null;
    };
    this.#inTurn([...acts, done], end);
  }

  #undrain(end: (fault: string | null) => void): void {
    const text = this.#host.disk.text(mark);
    if (text === null) {
      end(null);
      return;
    }
    const runId = valuesOf(text, 'host_run_id').at(-1) ?? '';
    const did = valuesOf(text, 'did').reverse();
    const acts = did.map((line) => (): string | null => {
      const [kind, unit = ''] = line.split(' ');
      this.#host.risk(hostFaults.atEffect, 3000);
      if (kind === 'unit') {
        this.#stopped.delete(unit);
        return unit === 'app.service' && !this.#host.isHealthy ? `${unit} did not start` : null;
      }
      if (loop.chance.happens(hostFaults.work)) return 'the program of the site failed';
      this.isOut = false;
      return null;
    });
    const done = (): null => {
      this.#host.disk.remove(mark);
      this.#host.disk.syncFolder(folder);
      this.#host.note('back', runId);
      return null;
    };
    this.#inTurn([...acts, done], (fault) => {
      if (fault !== null) {
        this.#triedAtMs = loop.nowMs;
        this.#note(`failed=${fault}`);
      }
      end(fault);
    });
  }
}
