import { setTimeout as delay } from 'node:timers/promises';
import type { LiveFault, Stage } from './fault.ts';
import { openHostNetwork, type HostNetwork } from './hostNetwork.ts';
import type { Bad } from './tcpProxy.ts';

const second = 1000;
let network: HostNetwork | null = null;

/** The way between hosts and server is bad for a while, a run of orders under way; then it is good again. */
async function behave({ world, chance, say }: Stage, bad: Bad, lastsMs: number): Promise<void> {
  const { agentsDoor } = world.installation;
  say(`the way of the agents for ${lastsMs / second} s: ${JSON.stringify(bad)}`);
  agentsDoor.become(bad, chance);
  try {
    await world.beginRun();
    await delay(lastsMs);
  } finally {
    agentsDoor.become({});
  }
}

/** Rules in the hosts' own network, one after the other; a run of orders is under way meanwhile. */
async function withRules(
  stage: Stage,
  rounds: readonly { rules: readonly string[]; lastsMs: number }[],
): Promise<void> {
  if (network === null) throw new Error('the hosts have no network of their own');
  await stage.world.beginRun();
  for (const { rules, lastsMs } of rounds) {
    network.apply(rules);
    await delay(lastsMs);
    network.apply([]);
    await delay(stage.chance.between(500, 2 * second));
  }
}

/** An installation whose hosts live in a network namespace of their own. */
async function apart() {
  const made = openHostNetwork();
  network = made;
  return Promise.resolve({
    gateway: made.gateway,
    wrapHosts: { line: made.enter },
    afterStop: () => made.close(),
  });
}

export const networks: readonly LiveFault[] = [
  {
    ids: ['F24'],
    kind: 'live',
    title: 'Latency of 50 to 2,000 ms with jitter between hosts and server',
    method: 'own seeded TCP proxy in front of the agents’ listener',
    invariant: 'I1, I2: orders arrive late and once',
    inject: async (stage) => {
      for (const latencyMs of [50, 500, 2000])
        await behave(stage, { latencyMs, jitterMs: latencyMs / 2 }, (stage.isSmoke ? 5 : 15) * second);
      return { seen: '50, 500 and 2,000 ms, half of it jitter' };
    },
  },
  {
    ids: ['F25'],
    kind: 'live',
    title: 'Bandwidth of 32 kbit/s between hosts and server',
    method: 'own TCP proxy',
    invariant: 'I1, I2',
    inject: async (stage) => {
      await behave(stage, { bytesPerSecond: 4_000 }, 40 * second);
      return { seen: '40 s' };
    },
  },
  {
    ids: ['F26'],
    kind: 'live',
    needs: ['networkNamespace'],
    title: 'Loss of 10 and 30 % of the packets of hosts',
    method: 'nftables drops packets by chance in the hosts’ own network namespace',
    invariant: 'I1, I2: no command is lost',
    mayHarmHosts: true,
    bend: apart,
    inject: async (stage) => {
      const lose = (percent: number) => ({
        rules: [
          `output numgen random mod 100 < ${percent} drop`,
          `input numgen random mod 100 < ${percent} drop`,
        ],
        lastsMs: 20 * second,
      });
      await withRules(stage, [lose(10), lose(30)]);
      return { seen: '20 s each, in both directions' };
    },
  },
  {
    ids: ['F27'],
    kind: 'live',
    needs: ['networkNamespace'],
    title: 'Partition: one way, both ways, flapping each 7 s',
    method: 'nftables in the hosts’ own network namespace drops what goes out, what comes in, both',
    invariant: 'I1, I2, I11: found again by themselves',
    mayHarmHosts: true,
    bend: apart,
    inject: async (stage) => {
      const out = { rules: ['output drop'], lastsMs: 20 * second };
      const back = { rules: ['input drop'], lastsMs: 20 * second };
      const both = { rules: ['output drop', 'input drop'], lastsMs: 7 * second };
      await withRules(stage, [out, back, both, both, both]);
      return { seen: 'out 20 s, in 20 s, both 7 s three times' };
    },
  },
  {
    ids: ['F28'],
    kind: 'live',
    title: 'Resets, half-open connections, slices of one byte',
    method: 'own TCP proxy: resets every connection, swallows one direction, cuts chunks into single bytes',
    invariant: 'I1, I2: agents come back, with jitter',
    mayHarmHosts: true,
    inject: async (stage) => {
      const { agentsDoor } = stage.world.installation;
      const rounds = stage.isSmoke ? 3 : 15;
      await stage.world.beginRun();
      for (let round = 0; round < rounds; round += 1) {
        await delay(stage.chance.between(50, 1500));
        agentsDoor.reset();
      }
      await behave(stage, { sliceBytes: 1 }, (stage.isSmoke ? 3 : 15) * second);
      const halves = stage.isSmoke ? (['toClient'] as const) : (['toClient', 'toServer', 'both'] as const);
      for (const swallows of halves) {
        // Longer than three missed heartbeats: both sides must end what only looks alive.
        agentsDoor.become({ swallows });
        await delay(18 * second);
        agentsDoor.become({});
        await delay(2 * second);
      }
      return { seen: `${rounds} resets, slices, ${halves.length} half-open spells of 18 s` };
    },
  },
  {
    ids: ['F31'],
    kind: 'live',
    needs: ['networkNamespace'],
    title: 'Names cannot be resolved on hosts',
    method:
      'the hosts’ own network namespace drops every question to a name server; agents were told an address',
    invariant: 'no outage: every host goes on answering',
    bend: apart,
    inject: async (stage) => {
      if (network === null) throw new Error('the hosts have no network of their own');
      network.apply(['output udp dport 53 drop', 'output tcp dport 53 drop']);
      const sinceMs = Date.now();
      stage.world.installation.agentsDoor.reset();
      await stage.world.beginRun();
      const servedAtMs = await stage.world.served(sinceMs, 60 * second);
      network.apply([]);
      return {
        seen: `answered ${Math.round((servedAtMs - sinceMs) / 100) / 10} s after a reset without names`,
      };
    },
  },
];
