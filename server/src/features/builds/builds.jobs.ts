import type { BuildsDeps } from './builds.deps.ts';
import { listRunning } from './builds.repository.ts';
import type { BuildsRollout } from './builds.rollout.ts';

const tickMs = 5_000;

/** Takes rollouts one step further; a process that dies leaves them to the next turn. */
export class BuildsJobs {
  readonly #deps: BuildsDeps;
  readonly #rollout: BuildsRollout;
  readonly #stopping = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(deps: BuildsDeps, rollout: BuildsRollout) {
    this.#deps = deps;
    this.#rollout = rollout;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  /** One look at every rollout that runs. */
  async tick(): Promise<void> {
    const running = await this.#deps.db.inSystem('builds.running', listRunning);
    for (const { tenantId, rolloutId } of running) await this.#rollout.advance(tenantId, rolloutId);
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#deps;
    while (!this.#stopping.signal.aborted) {
      try {
        await this.tick();
      } catch (error) {
        log.warn({ err: error }, 'agents were not asked to become their next version; tried again soon');
      }
      await clock.sleep(tickMs, this.#stopping.signal);
    }
  }
}
