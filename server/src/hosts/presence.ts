import { sql } from 'kysely';
import type { Clock } from '../platform/clock.ts';
import type { Db } from '../platform/db.ts';
import type { Logger } from '../platform/log.ts';
import { surplusOf, type LiveNode } from './presence.policy.ts';

/** Knows which server processes hold connections of agents, and makes this one known to the others. */
export interface Presence {
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
  /** Where agents may connect now, this node included; as of a few seconds ago. */
  readonly addresses: () => string[];
  /** Says that we are here and looks who else is; several times a minute by itself. */
  readonly refresh: () => Promise<void>;
}

interface PresenceOptions {
  readonly db: Db;
  readonly clock: Clock;
  readonly log: Logger;
  readonly nodeId: string;
  readonly agentsUrl: () => string;
  readonly connections: () => number;
  /** Called when a node has joined or left, this one included. */
  readonly changed: () => void;
  /** Called with the number of agents that should go to other nodes. */
  readonly release: (count: number) => void;
}

const everyMs = 5_000;
const aliveForS = 15;
const maxAddresses = 16;

const idsOf = (nodes: readonly LiveNode[]): string => nodes.map(({ id }) => id).join();

class NodePresence implements Presence {
  readonly #options: PresenceOptions;
  readonly #stopping = new AbortController();
  #nodes: readonly LiveNode[] = [];
  #running: Promise<void> | undefined;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  readonly addresses = (): string[] =>
    [...new Set(this.#nodes.map(({ agentsUrl }) => agentsUrl))].sort().slice(0, maxAddresses);

  readonly start = async (): Promise<void> => {
    await this.#tryRefresh();
    this.#running = this.#run();
  };

  readonly stop = async (): Promise<void> => {
    this.#stopping.abort();
    await this.#running;
    const { db, log, nodeId } = this.#options;
    await db
      .inSystem('nodes.leave', (tx) => tx.deleteFrom('nodes').where('id', '=', nodeId).execute())
      .catch((error: unknown) =>
        log.warn({ err: error }, 'other nodes see in some seconds that we are gone'),
      );
  };

  readonly refresh = async (): Promise<void> => {
    const { db, nodeId, agentsUrl, connections, changed } = this.#options;
    const before = this.#nodes;
    this.#nodes = await db.inSystem('nodes.meet', async (tx) => {
      const own = { id: nodeId, agents_url: agentsUrl(), connections: connections() };
      await tx
        .insertInto('nodes')
        .values(own)
        .onConflict((conflict) =>
          conflict.column('id').doUpdateSet({ connections: own.connections, seen_at: sql`now()` }),
        )
        .execute();
      // Rows of processes that were killed are swept by whoever is left.
      await sql`delete from nodes where seen_at < now() - interval '1 hour'`.execute(tx);
      return tx
        .selectFrom('nodes')
        .select(['id', 'agents_url as agentsUrl', 'connections'])
        .where('seen_at', '>', sql<Date>`now() - make_interval(secs => ${aliveForS})`)
        .orderBy('id')
        .execute();
    });
    if (idsOf(before) !== idsOf(this.#nodes)) changed();
  };

  async #tryRefresh(): Promise<void> {
    const { log } = this.#options;
    await this.refresh().catch((error: unknown) =>
      log.warn({ err: error }, 'other nodes could not be looked up; the list of a moment ago stays'),
    );
  }

  async #run(): Promise<void> {
    const { clock, nodeId, release } = this.#options;
    for (;;) {
      await clock.sleep(everyMs, this.#stopping.signal);
      if (this.#stopping.signal.aborted) return;
      await this.#tryRefresh();
      const surplus = surplusOf(this.#nodes, nodeId);
      if (surplus > 0) release(surplus);
    }
  }
}

export function createPresence(options: PresenceOptions): Presence {
  return new NodePresence(options);
}
