import { toApiError } from './problem.ts';
import type { ApiError } from './problem.ts';

/** What a form sends to the server: whether it is on its way, and why the last try was refused. */
export class Submission {
  busy = $state(false);
  error = $state.raw<ApiError | null>(null);

  /** Sends. A refusal is kept for the form to show, and goes away with the next try. */
  async send(work: () => Promise<unknown>): Promise<void> {
    this.busy = true;
    this.error = null;
    try {
      await work();
    } catch (caught) {
      this.error = toApiError(caught);
    } finally {
      this.busy = false;
    }
  }
}
