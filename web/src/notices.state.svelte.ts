import { toApiError } from './problem.ts';
import { t, tCode } from './messages/translate.state.svelte.ts';

interface Notice {
  readonly id: number;
  readonly tone: 'done' | 'failed';
  readonly text: string;
  readonly detail: string | undefined;
  readonly requestId: string | undefined;
}

const shownForMs = 6000;
const politeEveryMs = 5000;

/** Short messages after an act, and the one polite live region of the page (at most one message in five seconds). */
class Notices {
  list = $state.raw<readonly Notice[]>([]);
  spoken = $state('');
  #next = 1;
  #lastSpokenAt = 0;
  #waiting: string | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  done(text: string): void {
    const notice = this.#add({ tone: 'done', text, detail: undefined, requestId: undefined });
    setTimeout(() => this.dismiss(notice), shownForMs);
  }

  /** A refusal stays until it is read. */
  failed(error: unknown): void {
    const problem = toApiError(error);
    // A new proof of identity has its own dialog.
    if (problem.code === 'step_up_required') return;
    this.#add({
      tone: 'failed',
      text: tCode('error', problem.code),
      detail: problem.detail,
      requestId: problem.requestId,
    });
  }

  dismiss(id: number): void {
    this.list = this.list.filter((notice) => notice.id !== id);
  }

  /** Said by screen readers when there is a pause; a newer message replaces one that still waits. */
  say(text: string): void {
    const wait = this.#lastSpokenAt + politeEveryMs - Date.now();
    if (wait <= 0) {
      this.#speak(text);
      return;
    }
    this.#waiting = text;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#waiting !== null) this.#speak(this.#waiting);
      this.#waiting = null;
    }, wait);
  }

  #add(notice: Omit<Notice, 'id'>): number {
    const id = this.#next;
    this.#next += 1;
    this.list = [...this.list.slice(-3), { id, ...notice }];
    this.say(notice.tone === 'failed' ? t('notice.failed', { text: notice.text }) : notice.text);
    return id;
  }

  #speak(text: string): void {
    this.#lastSpokenAt = Date.now();
    this.spoken = text;
  }
}

export const notices = new Notices();
