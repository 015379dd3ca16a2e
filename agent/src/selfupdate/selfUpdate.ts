import { gunzipSync } from 'node:zlib';
import type { AgentFrame, ServerFrame } from '#contract/agent-link.ts';
import type { BuildCode } from '#contract/builds.ts';
import type { Envelope } from '#contract/dsse.ts';
import { runCommand, tailOf } from '../host/command.ts';
import { log } from '../log.ts';
import { isBuildRefusal, openBuild, type BuildView, type OpenedBuild } from './build.check.ts';
import { packageVersion, type Pointer, type VersionFolders } from './versionFolders.ts';

type Outcome = Extract<AgentFrame, { type: 'buildOutcome' }>;
type Said = Pick<Outcome, 'outcome' | 'code' | 'detail'>;

/** So often a host begins to become one version: one that does not prove itself is not tried for ever. */
const maxTries = 3;
/** A program that unpacks to more is none of ours. */
const maxProgramBytes = 32_000_000;

export interface SelfUpdateDeps {
  readonly folders: VersionFolders;
  /** The version that runs, and what the launcher started; null when no launcher did. */
  readonly running: string;
  readonly launched: string | null;
  readonly view: () => Omit<BuildView, 'running'>;
  /** Why the host has no time for this now; null when nothing is under way. */
  readonly findWork: () => Promise<string | null>;
  /** Takes no further order from here on; `false` takes them again. */
  readonly pause: (isPaused: boolean) => void;
  readonly send: (frame: AgentFrame) => boolean;
  /** Request of which the server holds what came of it. */
  readonly told: () => string | null;
}

const refused = (code: BuildCode, detail: string): Said => ({ outcome: 'refused', code, detail });

function unpack(artefact: Buffer): Buffer | null {
  try {
    return gunzipSync(artefact, { maxOutputLength: maxProgramBytes });
  } catch {
    return null;
  }
}

/**
 * Becomes another version when the customer's root keys allow it and nothing is under way. It never makes the host
 * depend on the new version: the launcher counts its starts and goes back.
 */
export class SelfUpdate {
  /** Resolves when the pointer was moved: this program has to end, and the launcher starts the other version. */
  readonly replaced: Promise<string>;
  readonly #deps: SelfUpdateDeps;
  #markReplaced: (version: string) => void = () => undefined;
  #isBusy = false;

  constructor(deps: SelfUpdateDeps) {
    this.#deps = deps;
    this.replaced = new Promise((resolve) => {
      this.#markReplaced = resolve;
    });
  }

  /** Takes a request. What comes of it is said at once, except by the other version when there is one. */
  async take({ askId, envelope, artefact }: Extract<ServerFrame, { type: 'build' }>): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    let version: string | null = null;
    try {
      if (await this.#isBegun(askId)) return;
      const opened = this.#judge({ envelope, artefact });
      if (!isBuildRefusal(opened)) ({ version } = opened.build);
      const said = isBuildRefusal(opened)
        ? refused(opened.code, opened.detail)
        : await this.#become(opened, askId);
      if (said !== null) this.#say({ askId, version, ...said });
    } catch (error) {
      this.#say({ askId, version, ...refused('write_failed', String(error)) });
    } finally {
      this.#isBusy = false;
    }
  }

  /** The server has welcomed this version and the past is settled: it works, and says so. */
  async prove(): Promise<void> {
    const { folders, launched } = this.#deps;
    if (launched === null) return;
    await folders.confirm(launched);
    const frame = this.#findOutcome(await folders.read());
    if (frame !== null && frame.askId !== this.#deps.told()) this.#deps.send(frame);
  }

  /** True when this very request has been taken before: only what came of it is said again. */
  async #isBegun(askId: string): Promise<boolean> {
    const pointer = await this.#deps.folders.read();
    if (askId !== pointer.askId && askId !== pointer.left?.askId) return false;
    const frame = pointer.isProven ? this.#findOutcome(pointer) : null;
    if (frame !== null) this.#deps.send(frame);
    return true;
  }

  #findOutcome({ version, askId, left }: Pointer): Outcome | null {
    const { launched, running } = this.#deps;
    const frame = { type: 'buildOutcome', running } as const;
    if (left !== null) {
      const detail = `${left.why} (${left.starts} starts)`;
      const said = { outcome: 'reverted', code: 'not_proven', detail } as const;
      return { ...frame, askId: left.askId, version: left.version, ...said };
    }
    if (askId === null) return null;
    // What is pointed at was damaged since, and the launcher has started another version.
    const said =
      launched === version
        ? ({ outcome: 'updated', code: 'ok', detail: '' } as const)
        : ({ outcome: 'reverted', code: 'not_proven', detail: 'its files are damaged' } as const);
    return { ...frame, askId, version, ...said };
  }

  #judge(offer: { envelope: Envelope; artefact: string }): OpenedBuild | { code: BuildCode; detail: string } {
    const { launched, running, view } = this.#deps;
    if (launched === null)
      return { code: 'not_launched', detail: 'this program was not started by the launcher of its package' };
    return openBuild(offer, { ...view(), running });
  }

  /** Null when the pointer was moved. */
  async #become({ build, artefact }: OpenedBuild, askId: string): Promise<Said | null> {
    const { folders, findWork, pause, launched } = this.#deps;
    const { version } = build;
    if ((await folders.triesOf(version)) >= maxTries)
      return refused('tried_too_often', `this host has tried ${version} ${maxTries} times`);
    const work = await findWork();
    if (work !== null) return { outcome: 'postponed', code: 'busy', detail: work };
    const program = unpack(artefact);
    if (program === null) return refused('malformed', 'the artefact cannot be unpacked');
    await folders.put(version, program);
    const fault = await this.#tryOut(version);
    if (fault !== null) return refused('does_not_start', fault);
    // From here no order comes in; one that came before is seen now.
    pause(true);
    try {
      const late = await findWork();
      if (late !== null) {
        pause(false);
        return { outcome: 'postponed', code: 'busy', detail: late };
      }
      await folders.countTry(version);
      await folders.swap({ version, from: launched ?? packageVersion, askId });
    } catch (error) {
      pause(false);
      throw error;
    }
    log('build.replaced', { version, by: askId });
    this.#markReplaced(version);
    return null;
  }

  /** Asks the new program for its version, with the runtime that it will have. */
  async #tryOut(version: string): Promise<string | null> {
    const program = this.#deps.folders.programOf(version);
    const asked = await runCommand(process.execPath, ['--no-warnings', program, 'version'], {
      timeoutMs: 30_000,
    });
    if (asked.exitCode === 0 && asked.stdout.trim() === version) return null;
    return tailOf(`exit code ${String(asked.exitCode)}: ${asked.stdout}${asked.stderr}`, 400);
  }

  #say(said: Said & { askId: string; version: string | null }): void {
    const detail = said.detail.replace(/[^\P{C}\n\t]/gu, ' ').slice(0, 500);
    log('build.answered', { ...said, detail });
    this.#deps.send({ type: 'buildOutcome', running: this.#deps.running, ...said, detail });
  }
}
