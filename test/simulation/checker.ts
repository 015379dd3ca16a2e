import { hostRunTransitions, terminalHostRunStates } from '#contract/run-transitions.ts';
import { runStates, type HostRunState } from '#contract/runs.ts';
import type { SimulatedHost } from './host/simulatedHost.ts';
import { endOf, ordersOf, readEntries, readHostRuns, type EntryRow, type HostRunRow } from './records.ts';
import { graceMs, isBarred, overBudget, thawed } from './restraints.ts';
import { falselySigned } from './signed.ts';
import type { SimulatedRun, SimulatedWorld } from './world.ts';

const terminal = new Set<string>(terminalHostRunStates);
const endedRuns = runStates.filter(
  (state) => !['scheduled', 'running', 'paused', 'stopping'].includes(state),
);

/** True when nothing is left to happen: every run has ended, or waits for a person and nothing else. */
export async function isAtRest(world: SimulatedWorld): Promise<boolean> {
  const [open] = await world.query<{ open: number }>(
    `select count(*)::int as open from runs where state = any($1) or (state = 'paused' and exists
       (select 1 from host_runs h where h.run_id = runs.id and h.replaced_by is null
          and h.state <> all($2) and h.state <> 'planned'))`,
    [['scheduled', 'running', 'stopping'], terminalHostRunStates],
  );
  return open?.open === 0;
}

/**
 * What is wrong with a history, in words; empty when nothing is. It is read from three sources that do not know each
 * other: what really happened to the hosts, what the database says, and what the audit log says.
 */
export async function faultsOf(
  world: SimulatedWorld,
  weather: { readonly isHarmless: boolean; readonly isCalm: boolean },
): Promise<string[]> {
  const hostRuns = await readHostRuns(world);
  const entries = await readEntries(world);
  return [
    ...(await unfinished(world, hostRuns)),
    ...untrue(world, hostRuns),
    ...twice(world),
    ...(await unrecorded(world, hostRuns, entries)),
    ...(await falselySigned(world, hostRuns, entries)),
    ...outOfOrder(hostRuns, entries),
    ...outOfTime(world, hostRuns, entries),
    ...(await leftDrained(world, hostRuns, entries)),
    ...overBudget(world, hostRuns, entries),
    ...thawed(world, entries),
    ...unproven(world, hostRuns, entries),
    ...world.leftBroken,
    ...world.denied,
    ...(await broken(world)),
    ...(weather.isHarmless ? harmed(world, hostRuns, weather.isCalm) : []),
    ...(await unsealed(world)),
  ];
}

/** I1, I7: everything ends, and nothing is left behind. */
async function unfinished(world: SimulatedWorld, hostRuns: readonly HostRunRow[]): Promise<string[]> {
  const faults: string[] = [];
  const runs = await world.query<{ id: string; state: string; ended: boolean }>(
    'select id, state, ended_at is not null as ended from runs',
  );
  for (const { state, ended } of runs) {
    const isOver = (endedRuns as readonly string[]).includes(state);
    if (!isOver && state !== 'paused')
      faults.push(`a run is still ${state} although nothing is left to happen`);
    if (isOver && !ended) faults.push(`a run is ${state} and has no end`);
  }
  for (const { state, runId, openCommandId } of hostRuns) {
    const isOver = terminal.has(state);
    const run = runs.find(({ id }) => id === runId);
    if (!isOver && run?.state !== 'paused')
      faults.push(`a host run is still ${state} in a run that is ${run?.state}`);
    if (isOver && openCommandId !== null)
      faults.push(`a host run that is ${state} still waits for a command`);
  }
  const claims = await world.query<{ run: string }>(
    `select r.state as run from host_claims c join runs r on r.id = c.run_id where r.state = any($1)`,
    [endedRuns],
  );
  for (const { run } of claims) faults.push(`a host is still held by a run that is ${run}`);
  const [outbox] = await world.query<{ left: number }>('select count(*)::int as left from outbox');
  if ((outbox?.left ?? 0) > 0) faults.push(`${outbox?.left} messages were never relayed`);
  return faults;
}

/** I8: what is said about a host is what is there. */
function untrue(world: SimulatedWorld, hostRuns: readonly HostRunRow[]): string[] {
  const faults: string[] = [];
  for (const host of world.hosts) {
    const { hostId } = world.idsOf(host);
    const own = hostRuns.filter((one) => one.hostId === hostId && one.replacedBy === null);
    // Of two runs the one that was released first may come to a host last.
    const started = own.filter(({ startedAt }) => startedAt !== null);
    const last = started.sort((one, other) => Number(one.startedAt) - Number(other.startedAt)).at(-1);
    if (last !== undefined && host.isUp) faults.push(...lies(host, last, own));
  }
  return faults;
}

const isUpdated = (host: SimulatedHost): boolean =>
  [...host.packages.values()].every((version) => version === '1.1');
const isOld = (host: SimulatedHost): boolean =>
  [...host.packages.values()].every((version) => version === '1.0');

function lies(host: SimulatedHost, { state, patch }: HostRunRow, own: readonly HostRunRow[]): string[] {
  const faults: string[] = [];
  const there = [...host.packages].map(([name, version]) => `${name} ${version}`).join(', ');
  const say = (what: string): void =>
    void faults.push(`${host.name} is called ${state} (${patch}), but ${what}`);
  if (state === 'committed') {
    if (!isUpdated(host)) say(`it has ${there}`);
    if (!host.isHealthy) say('its service is down');
    if (host.disk.text('/var/lib/atlas-agent/guardian/armed') !== null) say('its guardian is still armed');
  }
  const wasUpdatedBefore = own.some((one) => one.state === 'committed');
  if (state === 'rolled_back' && !wasUpdatedBefore) {
    if (!isOld(host)) say(`it has ${there}`);
    if (!host.isHealthy) say('its service is down');
  }
  if (patch === 'installed' && terminal.has(state) && !isUpdated(host)) say(`it has ${there}`);
  if (patch === 'reverted' && terminal.has(state) && !wasUpdatedBefore && !isOld(host))
    say(`it has ${there}`);
  const isUntouched = patch === 'not_started' || patch === 'not_installed';
  if (isUntouched && terminal.has(state) && !wasUpdatedBefore && !isOld(host)) say(`it has ${there}`);
  return faults;
}

/** I2: no effect happens twice. */
function twice(world: SimulatedWorld): string[] {
  return world.hosts.flatMap((host) => {
    const seen = new Set<string>();
    return host.effects.flatMap(({ kind, of }) => {
      const effect = `${kind} ${of}`;
      const isNew = !seen.has(effect);
      seen.add(effect);
      return isNew || kind === 'came_up' || kind === 'went_down' || kind === 'back'
        ? []
        : [`I2: ${host.name}: ${kind} twice for ${of}`];
    });
  });
}

/** I3: what people were told is durable is there. */
async function broken(world: SimulatedWorld): Promise<string[]> {
  const rows = await world.query<{ id: string }>('select id from commands where id = any($1)', [
    world.promised,
  ]);
  const lost = world.promised.length - rows.length;
  return lost > 0 ? [`I3: ${lost} commands were promised to people and are not there`] : [];
}

/** I5: no effect without its order in the log before it, no change of state without its entry. */
async function unrecorded(
  world: SimulatedWorld,
  hostRuns: readonly HostRunRow[],
  entries: readonly EntryRow[],
): Promise<string[]> {
  const faults: string[] = [];
  const dispatched = new Set(
    entries.filter(({ action }) => action === 'command.dispatched').map(({ subjectId }) => subjectId),
  );
  const answered = new Set(
    entries.filter(({ action }) => action === 'command.result').map(({ subjectId }) => subjectId),
  );
  for (const host of world.hosts)
    for (const { of } of host.effects.filter(({ kind }) => kind === 'installed'))
      if (!dispatched.has(of)) faults.push(`I5: ${host.name} installed something that the log does not know`);
  const results = await world.query<{ id: string }>('select distinct command_id as id from command_results');
  for (const { id } of results) if (!answered.has(id)) faults.push('I5: a result has no entry in the log');
  for (const { id, state } of hostRuns) faults.push(...brokenWay(id, state, entries));
  return faults;
}

/** The entries of a host run tell its way without a gap, and it ends where the row is. */
export function brokenWay(id: string, state: HostRunState, entries: readonly EntryRow[]): string[] {
  let at: string = 'planned';
  for (const { action, subjectId, details } of entries) {
    if (action !== 'host_run.transitioned' || subjectId !== id) continue;
    const [from, to] = [String(details.from), String(details.to)];
    if (from !== at) return [`I5: the log goes from ${at} to ${from} without saying how`];
    const allowed = Object.keys(hostRunTransitions[from as HostRunState]);
    if (!allowed.includes(to)) return [`a host run went from ${from} to ${to}, which no rule allows`];
    at = to;
  }
  return at === state ? [] : [`I5: the log ends at ${at}, the host run is ${state}`];
}

/** A wave begins when the one before it has ended; a host is in one run at a time; a changed host is not tried again. */
function outOfOrder(hostRuns: readonly HostRunRow[], entries: readonly EntryRow[]): string[] {
  const faults: string[] = [];
  const orders = ordersOf(entries);
  const begins = (one: HostRunRow): number =>
    orders.find(({ hostRunId }) => hostRunId === one.id)?.position ?? Infinity;
  for (const late of hostRuns) {
    const began = begins(late);
    if (began === Infinity) continue;
    for (const early of hostRuns) {
      if (early.id === late.id || begins(early) > began) continue;
      const isOpen = endOf(early.id, entries) > began;
      if (early.runId === late.runId && early.wave < late.wave && isOpen)
        faults.push(`wave ${late.wave} began before wave ${early.wave} had ended`);
      if (early.hostId === late.hostId && isOpen) faults.push('two runs were at one host at the same time');
    }
  }
  for (const { patch, replacedBy } of hostRuns)
    if (replacedBy !== null && patch !== 'not_started' && patch !== 'not_installed')
      faults.push(`a host that was changed (${patch}) was tried again`);
  return faults.slice(0, 3);
}

/** What is said of an end is said with it. */
const endMs = 2000;

/** I8: no host is checked while its work is away, and no host run ends like that unless people are told at its end. */
async function leftDrained(
  world: SimulatedWorld,
  hostRuns: readonly HostRunRow[],
  entries: readonly EntryRow[],
): Promise<string[]> {
  const told = await world.query<{ id: string; atMs: number }>(
    `select host_run_id as id, extract(epoch from max(at))::float8 * 1000 as "atMs"
     from run_decisions where code = 'undrain_failed' group by host_run_id`,
  );
  const saidAtMs = new Map(told.map(({ id, atMs }) => [id, atMs]));
  const checks = ordersOf(entries).filter(({ step }) => step === 'verify');
  return hostRuns.flatMap(({ id, hostId, state }) => {
    const host = world.hosts.find((one) => world.idsOf(one).hostId === hostId);
    const isAway = (untilMs: number): boolean =>
      host?.effects.findLast(
        ({ kind, of, atMs }) => of === id && atMs <= untilMs && (kind === 'drained' || kind === 'back'),
      )?.kind === 'drained';
    const endedAtMs = entries[endOf(id, entries)]?.atMs;
    const saidMs = saidAtMs.get(id) ?? -Infinity;
    const isUnsaid = endedAtMs !== undefined && isAway(endedAtMs) && saidMs < endedAtMs - endMs;
    const isChecked = checks.some(({ hostRunId, atMs }) => hostRunId === id && isAway(atMs));
    return [
      ...(isUnsaid ? [`I8: ${host?.name} was ${state} with its work still away, unsaid`] : []),
      ...(isChecked ? [`${host?.name} was checked with its work still away`] : []),
    ];
  });
}

/** Steps that lead to a change. */
const leading = new Set(['preflight', 'guard', 'download', 'drain', 'install']);

/** The window of a run is closed for whatever changes a host in its last tenth, ten minutes at most. */
function lastCallMs({ notAfterMs, windowMs }: SimulatedRun): number {
  return notAfterMs - Math.min(600_000, windowMs / 10);
}

/** I9: nothing that leads to a change is ordered under an emergency stop or outside of the window. */
function outOfTime(
  world: SimulatedWorld,
  hostRuns: readonly HostRunRow[],
  entries: readonly EntryRow[],
): string[] {
  const faults: string[] = [];
  for (const { atMs, step, hostRunId } of ordersOf(entries)) {
    if (!leading.has(step)) continue;
    const isStopped = world.stops.some(({ fromMs, untilMs }) => atMs > fromMs + graceMs && atMs < untilMs);
    if (isStopped) faults.push(`I9: ${step} was ordered under the emergency stop`);
    const { runId } = hostRuns.find(({ id }) => id === hostRunId) ?? {};
    const run = world.runs.find((one) => one.runId === runId);
    if (run !== undefined && atMs > lastCallMs(run) + graceMs)
      faults.push(`I9: ${step} was ordered after the window`);
  }
  return faults.slice(0, 3);
}

/** A restart that is called proven has happened, and before the host said so. */
function unproven(
  world: SimulatedWorld,
  hostRuns: readonly HostRunRow[],
  entries: readonly EntryRow[],
): string[] {
  const orders = ordersOf(entries);
  return hostRuns.flatMap(({ id, hostId, restart }) => {
    const host = world.hosts.find((one) => world.idsOf(one).hostId === hostId);
    const ordered = orders.find((order) => order.hostRunId === id && order.step === 'restart');
    if (restart !== 'proven' || host === undefined) return [];
    const said = entries.find(
      ({ action, details }) =>
        action === 'command.result' &&
        details.hostRunId === id &&
        details.step === 'restart' &&
        details.outcome === 'succeeded',
    );
    const cameUp = host.effects.some(
      ({ kind, atMs }) =>
        kind === 'came_up' && atMs > (ordered?.atMs ?? Infinity) && atMs <= (said?.atMs ?? Infinity),
    );
    return cameUp ? [] : [`${host.name} is said to have restarted, and has not`];
  });
}

/** When nothing happened but what the server and the network are made to bear, every host ends as in the best weather. */
function harmed(world: SimulatedWorld, hostRuns: readonly HostRunRow[], isCalm: boolean): string[] {
  return hostRuns.flatMap(({ hostId, runId, state, patch, endedAt }) => {
    const run = world.runs.find((one) => one.runId === runId);
    const host = world.hosts.find((one) => world.idsOf(one).hostId === hostId);
    if (run === undefined || host === undefined || state === 'superseded' || state === 'planned') return [];
    if (!run.guarded || endedAt === null) return [];
    const isLate = state === 'failed' && patch === 'not_installed' && endedAt.getTime() >= run.notAfterMs;
    const isShort = run.windowMs < 3_600_000 || isBarred(world, host);
    const isMissed = (state === 'missed' || isLate) && isShort;
    const due = host.broken.size > 0 ? 'rolled_back' : 'committed';
    // A guard that hears nobody for long enough is right to go back.
    const isAbandoned = state === 'rolled_back' && !isCalm;
    return state === due || isMissed || isAbandoned
      ? []
      : [`${host.name} ended ${state} in weather that harms no host`];
  });
}

/** I4: every entry has its place in the sealed log. */
async function unsealed(world: SimulatedWorld): Promise<string[]> {
  const [row] = await world.query<{ left: number }>(
    `select count(*)::int as left from audit_entries e
     where not exists (select 1 from audit_leaves l where l.entry_id = e.entry_id)`,
  );
  return (row?.left ?? 0) > 0 ? [`I4: ${row?.left} entries of the log were never sealed`] : [];
}
