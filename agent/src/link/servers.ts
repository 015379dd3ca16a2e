/** What outlives the program: the addresses that the server said last. */
interface ServersMemory {
  readonly servers: readonly string[];
  readonly recordServers: (servers: readonly string[]) => Promise<void>;
}

/** Knows where the server's nodes are reached. The address of the enrolment stays one of them. */
export class ServerAddresses {
  readonly #enrolled: string;
  readonly #memory: ServersMemory;
  readonly #random: () => number;
  #last: string | null = null;

  constructor(enrolled: string, memory: ServersMemory, random: () => number = Math.random) {
    this.#enrolled = enrolled;
    this.#memory = memory;
    this.#random = random;
  }

  /**
   * Where to connect now: by chance at the start, so that a fleet spreads; later another node than the last one, if there
   * is one, so that a dead node costs one attempt.
   */
  next(): string {
    const all = this.#all();
    const others = all.length > 1 ? all.filter((address) => address !== this.#last) : all;
    const chosen = others.length > 1 ? others[Math.floor(this.#random() * others.length)] : others[0];
    this.#last = chosen ?? this.#enrolled;
    return this.#last;
  }

  /**
   * Takes the list that the server gives, but nothing that is no address of an agents' listener. An address is not trusted:
   * whoever answers there must still prove to be the server of the enrolment.
   */
  async learn(addresses: readonly string[] | undefined): Promise<void> {
    if (addresses === undefined) return;
    const sound = addresses.filter((one) => URL.canParse(one) && new URL(one).protocol === 'wss:').sort();
    const known = this.#memory.servers;
    if (sound.length === known.length && sound.every((one, index) => one === known[index])) return;
    await this.#memory.recordServers(sound);
  }

  #all(): string[] {
    return [...new Set([this.#enrolled, ...this.#memory.servers])];
  }
}
