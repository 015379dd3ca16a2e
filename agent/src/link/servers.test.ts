import { describe, expect, it } from 'vitest';
import { ServerAddresses } from './servers.ts';

const enrolled = 'wss://a.example.org:9443/link';
const other = 'wss://b.example.org:9443/link';

class Memory {
  servers: readonly string[];
  writes = 0;

  constructor(...servers: string[]) {
    this.servers = servers;
  }

  readonly recordServers = (servers: readonly string[]): Promise<void> => {
    this.servers = servers;
    this.writes += 1;
    return Promise.resolve();
  };
}

const drawn = (servers: ServerAddresses, count = 20) => Array.from({ length: count }, () => servers.next());

describe('the addresses of the server', () => {
  it('begin with the one of the enrolment, which never goes away', async () => {
    const memory = new Memory();
    const servers = new ServerAddresses(enrolled, memory);
    expect(drawn(servers, 3)).toEqual([enrolled, enrolled, enrolled]);
    await servers.learn([other]);
    expect(new Set(drawn(servers))).toEqual(new Set([enrolled, other]));
    await servers.learn([]);
    expect(drawn(servers, 2)).toEqual([enrolled, enrolled]);
  });

  it('are tried in turn: after a lost connection never the same one again while there is another', () => {
    const tried = drawn(new ServerAddresses(enrolled, new Memory(other, 'wss://c.example.org/link')));
    for (const [index, address] of tried.entries()) expect(address).not.toBe(tried[index - 1]);
    expect(new Set(tried).size).toBe(3);
  });

  it('are chosen by chance at the start, so that a fleet spreads', () => {
    expect(new ServerAddresses(enrolled, new Memory(other), () => 0.1).next()).toBe(enrolled);
    expect(new ServerAddresses(enrolled, new Memory(other), () => 0.9).next()).toBe(other);
  });

  it('are only those of encrypted links, and are written down only when they change', async () => {
    const memory = new Memory();
    const servers = new ServerAddresses(enrolled, memory);
    await servers.learn(['ws://b.example.org/link', 'file:///etc/passwd', 'nonsense']);
    expect(memory).toMatchObject({ servers: [], writes: 0 });
    await servers.learn([other, enrolled]);
    await servers.learn([enrolled, other]);
    await servers.learn(undefined);
    expect(memory).toMatchObject({ servers: [enrolled, other], writes: 1 });
  });
});
