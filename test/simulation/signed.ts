import { unpackResults, type CommandResult, type ResultBatch } from '#contract/results.ts';
import { decodeJournal } from '../../agent/src/journal/frames.ts';
import { JournalIndex } from '../../agent/src/journal/journal.index.ts';
import type { JournalRecord } from '../../agent/src/journal/journal.record.ts';
import type { HostEffect, SimulatedHost } from './host/simulatedHost.ts';
import type { EntryRow, HostRunRow } from './records.ts';
import type { SimulatedWorld } from './world.ts';

interface FrameRow {
  readonly agentId: string;
  readonly first: number;
  readonly last: number;
  readonly payload: string;
}

/** What the server holds of one agent, by number. */
type Held = ReadonlyMap<number, CommandResult>;

/** The journal as it lies on a host's disk. */
function journalOf(host: SimulatedHost): JournalIndex {
  const name = '/var/lib/atlas-agent/journal';
  const index = new JournalIndex();
  if (!host.disk.has(name)) return index;
  for (const { payload, head } of decodeJournal(host.disk.get(name).content).frames)
    index.apply(JSON.parse(payload.toString('utf8')) as JournalRecord, head.toString('hex'));
  return index;
}

/** I2, I3, I8: what agents have signed is held without a gap, stands in their journals, is said once, and is true. */
export async function falselySigned(
  world: SimulatedWorld,
  hostRuns: readonly HostRunRow[],
  entries: readonly EntryRow[],
): Promise<string[]> {
  const frames = await world.query<FrameRow>(
    `select agent_id as "agentId", first_seq::int as first, last_seq::int as last, convert_from(payload, 'UTF8') as payload
     from result_frames order by agent_id, first_seq`,
  );
  const decisions = await world.query<{ hostRunId: string; code: string }>(
    'select host_run_id as "hostRunId", code from run_decisions where host_run_id is not null',
  );
  const said = new Set(decisions.map(({ hostRunId, code }) => `${hostRunId} ${code}`));
  const faults = world.hosts.flatMap((host) => {
    const { agentId, hostId } = world.idsOf(host);
    const own = frames.filter((frame) => frame.agentId === agentId);
    const ownRuns = hostRuns.filter((one) => one.hostId === hostId);
    const ids = new Set(ownRuns.map(({ id }) => id));
    const ownEntries = entries.filter(({ details }) => ids.has(String(details.hostRunId)));
    const held = heldOf(own);
    return [
      ...gaps(host, own),
      ...differing(host, held),
      ...answeredTwice(host, held),
      ...unheardReverts(host, held, said),
      ...unlike(host, ownEntries),
      ...hiddenReverts(host, ownRuns),
    ];
  });
  return faults.slice(0, 6);
}

function heldOf(frames: readonly FrameRow[]): Held {
  const results = frames.flatMap(({ payload, first, last }) =>
    // A frame may repeat what an earlier one brought.
    unpackResults(JSON.parse(payload) as ResultBatch).filter(({ seq }) => seq >= first && seq <= last),
  );
  return new Map(results.map((result) => [result.seq, result]));
}

/** I3: what an agent has signed is held by the server, without a gap, once both can speak. */
function gaps(host: SimulatedHost, frames: readonly FrameRow[]): string[] {
  let next = 1;
  for (const { first, last } of frames) {
    if (first !== next) return [`I3: results of ${host.name} have a gap or a repetition at ${first}`];
    next = last + 1;
  }
  const made = journalOf(host).lastSeq;
  return made >= next ? [`I3: ${host.name} has signed ${made} results, and ${next - 1} arrived`] : [];
}

/** I3: what stands in a host's journal under a number is what the server holds under it. */
function differing(host: SimulatedHost, held: Held): string[] {
  const faults: string[] = [];
  for (const { result } of journalOf(host).commands.values()) {
    if (result === null) continue;
    const there = held.get(result.seq);
    if (there !== undefined && (there.commandId !== result.commandId || there.outcome !== result.outcome))
      faults.push(`I3: result ${result.seq} of ${host.name} is one thing there and another here`);
  }
  return faults;
}

/** I2: a command ends once. */
function answeredTwice(host: SimulatedHost, held: Held): string[] {
  const byCommand = Map.groupBy(held.values(), ({ commandId }) => commandId);
  return [...byCommand.values()]
    .filter((results) => results.length > 1)
    .map(([first]) => `I2: ${host.name} did ${first?.verb ?? 'something'} twice for one command`);
}

/** Who decided to turn a host back is told: by itself is another thing than by order. */
function unheardReverts(host: SimulatedHost, held: Held, said: ReadonlySet<string>): string[] {
  return [...held.values()].flatMap(({ facts, outcome, hostRunId }) => {
    const isOwn = facts.rollbackBy === 'agent' || facts.rollbackBy === 'guardian';
    if (!isOwn || outcome !== 'succeeded' || hostRunId === null) return [];
    const codes = ['silence_reverted', 'agent_reverted', 'late_truth'];
    return codes.some((code) => said.has(`${hostRunId} ${code}`))
      ? []
      : [`I8: ${host.name} turned itself back, and people are not told`];
  });
}

/** I8: a run for which a host went back is called reverted, whoever asked for it. */
function hiddenReverts(host: SimulatedHost, own: readonly HostRunRow[]): string[] {
  if (!host.isUp) return [];
  return own
    .filter(({ id }) => host.effects.some(({ kind, of }) => kind === 'switched' && of === id))
    .filter(({ patch }) => patch !== 'reverted')
    .map(({ state, patch }) => `I8: ${host.name} went back, and is called ${state} (${patch})`);
}

/** I8: what a host has signed as done has happened to it, after the order and before the answer. */
function unlike(host: SimulatedHost, entries: readonly EntryRow[]): string[] {
  const faults: string[] = [];
  const orderedAt = new Map(
    entries
      .filter(({ action }) => action === 'command.dispatched')
      .map(({ subjectId, atMs }) => [subjectId, atMs]),
  );
  for (const { action, subjectId, atMs, details } of entries) {
    const isDone = details.outcome === 'succeeded' && details.code === 'ok';
    if (action !== 'command.result' || !isDone || subjectId === null) continue;
    const fromMs = orderedAt.get(subjectId) ?? Infinity;
    const happened = (kind: HostEffect['kind'], of?: string): boolean =>
      host.effects.some(
        (one) =>
          one.kind === kind && (of === undefined || one.of === of) && one.atMs >= fromMs && one.atMs <= atMs,
      );
    if (details.verb === 'host.restart' && !happened('came_up'))
      faults.push(`I8: ${host.name} has signed that it restarted, and has not`);
    if (details.verb === 'host.drain' && !happened('drained'))
      faults.push(`I8: ${host.name} has signed that its work is away, and it is not`);
    if (details.verb === 'host.undrain' && !happened('back'))
      faults.push(`I8: ${host.name} has signed that its work is back, and it is not`);
    if (details.verb === 'updates.install' && !happened('in_place', subjectId))
      faults.push(`I8: ${host.name} has signed an installation that is not whole`);
  }
  return faults;
}
