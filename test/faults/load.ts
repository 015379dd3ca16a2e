import { setTimeout as delay } from 'node:timers/promises';
import type { Host } from './hosts.ts';
import { Refused, type People } from './people.ts';

/** What a client was told: the server has taken this command. */
export interface Acknowledged {
  readonly commandId: string;
  readonly hostId: string;
  readonly askedAtMs: number;
  readonly acknowledgedAtMs: number;
}

const everyMs = 200;

/** Somebody who asks one host after the other for a reading, for as long as it takes, and writes down every answer. */
export class Load {
  readonly acknowledged: Acknowledged[] = [];
  /** Refusals by their HTTP status; 0 when nobody answered. */
  readonly refused = new Map<number, number>();
  readonly #people: People;
  readonly #hosts: readonly Host[];
  #isWanted = false;
  #working: Promise<void> = Promise.resolve();

  constructor(people: People, hosts: readonly Host[]) {
    this.#people = people;
    this.#hosts = hosts;
  }

  start(): void {
    if (this.#isWanted) return;
    this.#isWanted = true;
    // A host that is away must not keep the others waiting.
    this.#working = Promise.all(this.#hosts.map((host) => this.#ask(host))).then(() => undefined);
  }

  async stop(): Promise<void> {
    this.#isWanted = false;
    await this.#working;
  }

  async #ask({ hostId }: Host): Promise<void> {
    while (this.#isWanted) {
      const askedAtMs = Date.now();
      try {
        const { commandId } = await this.#people.must<{ commandId: string }>('olga', 'scanHost', {
          params: { hostId },
        });
        this.acknowledged.push({ commandId, hostId, askedAtMs, acknowledgedAtMs: Date.now() });
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        this.refused.set(error.status, (this.refused.get(error.status) ?? 0) + 1);
      }
      await delay(everyMs);
    }
  }
}
