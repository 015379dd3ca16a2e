import type { FollowUpsDeps } from './followups.deps.ts';
import { listPending } from './followups.repository.ts';
import type { FollowUpsService } from './followups.service.ts';

const tickMs = 5_000;

/** Plans missed runs again where their window says so; a process that dies leaves them to the next turn. */
export class FollowUpsJobs {
  readonly #deps: FollowUpsDeps;
  readonly #service: FollowUpsService;
  readonly #stopping = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(deps: FollowUpsDeps, service: FollowUpsService) {
    this.#deps = deps;
    this.#service = service;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #tick(): Promise<void> {
    const pending = await this.#deps.db.inSystem('followups.pending', listPending);
    for (const { tenantId, runId } of pending) await this.#service.planNext(tenantId, runId);
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#deps;
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#tick();
      } catch (error) {
        log.warn({ err: error }, 'missed runs were not planned again; tried again soon');
      }
      await clock.sleep(tickMs, this.#stopping.signal);
    }
  }
}
