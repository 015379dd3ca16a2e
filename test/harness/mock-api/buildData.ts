import type { BuildAsk } from '#contract/builds.ts';
import { agentOf, at, hosts, idOf } from './fleetData.ts';

/** What each host with an agent of its own was asked last: most have become it, one went back, one waits. */
export const buildAsks: readonly BuildAsk[] = hosts
  .filter(({ reach }) => reach === 'agent')
  .slice(0, 6)
  .map((host, index) => {
    const states = ['updated', 'updated', 'reverted', 'updated', 'waiting', 'updated'] as const;
    const state = states[index] ?? 'updated';
    const said = {
      updated: { code: 'ok', detail: '' },
      reverted: { code: 'not_proven', detail: 'started 3 times and did not prove itself (3 starts)' },
      waiting: { code: 'busy', detail: 'orders are open' },
    } as const;
    return {
      ...{
        id: idOf('buildAsk', index),
        rolloutId: idOf('rollout', 0),
        hostId: host.id,
        hostname: host.hostname,
      },
      ...{ version: '0.2.0', fromVersion: '0.1.0', runningVersion: agentOf(host).version },
      ...{ ring: index < 2 ? 1 : 2, state, ...said[state] },
      ...{ askedAt: at(-90), endedAt: state === 'waiting' ? null : at(-88) },
    };
  });
