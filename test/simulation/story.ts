import { unpackResults, type ResultBatch } from '#contract/results.ts';
import type { SimulatedWorld, StoryLine } from './world.ts';

/** The whole story of a history in order: what the world did, what the engine decided, what hosts answered and what happened to them. */
export async function tellStory(world: SimulatedWorld): Promise<StoryLine[]> {
  const at = (ms: number): number => ms - world.startMs;
  const decisions = await world.query<{
    atMs: number;
    hostname: string | null;
    code: string;
    values: object;
  }>(
    `select extract(epoch from d.at)::float8 * 1000 as "atMs", h.hostname, d.code, d.values
     from run_decisions d left join host_runs h on h.id = d.host_run_id`,
  );
  const frames = await world.query<{ text: string }>(
    `select convert_from(payload, 'UTF8') as text from result_frames`,
  );
  const results = frames.flatMap(({ text }) => unpackResults(JSON.parse(text) as ResultBatch));
  const nameOf = (agentId: string): string =>
    world.hosts.find((host) => world.idsOf(host).agentId === agentId)?.name ?? 'nobody';
  const lines = [
    ...world.story,
    ...decisions.map(({ atMs, hostname, code, values }) => ({
      atMs: at(atMs),
      text: `decided for ${hostname ?? 'the run'}: ${code} ${JSON.stringify(values)}`,
    })),
    ...results.map(({ agent, step, outcome, code, detail, endedAt }) => {
      const said = `${nameOf(agent)} says of ${step ?? 'a reading'}: ${outcome} (${code}) ${detail}`;
      return { atMs: at(Date.parse(endedAt)), text: said.slice(0, 200) };
    }),
    ...world.hosts.flatMap((host) =>
      host.effects.map(({ atMs, kind, of }) => ({ atMs: at(atMs), text: `${host.name}: ${kind} ${of}` })),
    ),
  ];
  return lines.sort((one, other) => one.atMs - other.atMs);
}
