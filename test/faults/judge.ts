import { spawn } from 'node:child_process';
import path from 'node:path';
import { terminalHostRunStates } from '#contract/run-transitions.ts';
import type { HostRunState } from '#contract/runs.ts';
import type { JournalIndex } from '../../agent/src/journal/journal.index.ts';
import { brokenWay } from '../simulation/checker.ts';
import { readAnswers, type Answer } from './answers.ts';
import type { Host } from './hosts.ts';
import type { Effect } from './recordingPackages.ts';
import type { FaultWorld } from './world.ts';

export interface Judgement {
  /** Broken promises, in words; empty when every one was kept. */
  readonly broken: readonly string[];
  /** How much was compared. */
  readonly figures: {
    readonly commands: number;
    readonly effects: number;
    readonly entries: number;
    /** Ends of hosts in released runs, by name of the state. */
    readonly ends: Readonly<Record<string, number>>;
  };
}

export interface JudgeOptions {
  /** A host may end otherwise than committed. */
  readonly mayHarmHosts: boolean;
  /** Runs that were begun during this fault; what former faults did to hosts is not held against it. */
  readonly runIds: readonly string[];
  /** Hosts whose journal was taken away. */
  readonly forgetful: readonly string[];
}

interface CommandRow {
  readonly id: string;
  readonly hostId: string;
  readonly verb: string;
  readonly step: string | null;
  readonly releaseId: string | null;
  /** The entry of the audit log that speaks of its dispatch with others; null for an order. */
  readonly entryId: string | null;
}

interface EntryRow {
  readonly id: string;
  readonly atMs: number;
  readonly action: string;
  readonly subjectId: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

interface HostRunRow {
  readonly id: string;
  readonly runId: string;
  readonly hostId: string;
  readonly state: HostRunState;
  readonly patch: string;
  /** What the engine last decided, with its values. */
  readonly why: string | null;
}

/** What one host has to say for itself: its own record of effects, and the journal on its disk. */
interface Witness {
  readonly host: Host;
  readonly effects: readonly Effect[];
  readonly journal: JournalIndex;
}

interface Records {
  readonly commands: ReadonlyMap<string, CommandRow>;
  readonly entries: readonly EntryRow[];
  readonly hostRuns: readonly HostRunRow[];
  readonly witnesses: readonly Witness[];
  readonly answers: ReadonlyMap<string, readonly Answer[]>;
}

const longestList = 5;

/**
 * What is wrong with a history, in words. Four sources that do not know each other are compared: what clients were told, what
 * the hosts themselves wrote down, what the database says, what the audit log says.
 */
export async function judge(world: FaultWorld, options: JudgeOptions): Promise<Judgement> {
  const records = await collect(world);
  const { witnesses } = records;
  const remembering = {
    ...records,
    witnesses: witnesses.filter(({ host }) => !options.forgetful.includes(host.name)),
  };
  const broken = [
    ...vanished(world, records),
    ...twice(records),
    ...untold(remembering),
    ...unrecorded(records),
    ...unreleased(records),
    ...gaps(remembering),
    ...untrue(remembering),
    ...(options.mayHarmHosts ? [] : harmed(world, records, options.runIds)),
    ...(await unproved(world)),
  ];
  const effects = witnesses.reduce((sum, one) => sum + one.effects.length, 0);
  return {
    broken,
    figures: {
      commands: records.commands.size,
      effects,
      entries: records.entries.length,
      ends: endsOf(records),
    },
  };
}

function endsOf({ hostRuns }: Records): Record<string, number> {
  const ends: Record<string, number> = {};
  for (const { state } of hostRuns) ends[state] = (ends[state] ?? 0) + 1;
  return ends;
}

async function collect({ installation, people, hosts }: FaultWorld): Promise<Records> {
  const commands = await installation.query<CommandRow>(
    `select id, host_id as "hostId", verb, step, release_id as "releaseId", entry_id as "entryId" from commands`,
  );
  const entries = await installation.query<EntryRow>(
    `select entry_id as id, extract(epoch from at)::float8 * 1000 as "atMs", action, subject_id as "subjectId",
       convert_from(leaf, 'UTF8')::jsonb->'details' as details
     from audit_entries where tenant_id = $1 order by entry_id`,
    [people.tenantId],
  );
  const hostRuns = await installation.query<HostRunRow>(
    `select id, run_id as "runId", host_id as "hostId", state, outcomes->>'patch' as patch,
       (select string_agg(code || ' ' || values::text, ', ' order by d.id) from run_decisions d where d.host_run_id = h.id) as why
     from host_runs h order by id`,
  );
  const witnesses = await Promise.all(
    hosts.map(async (host) => ({
      ...{ host, effects: await host.effects(), journal: await host.journal() },
    })),
  );
  const answers = Map.groupBy(await readAnswers(installation), ({ commandId }) => commandId);
  return { commands: new Map(commands.map((one) => [one.id, one])), entries, hostRuns, witnesses, answers };
}

/** The first few of many, so that a broken world does not fill a screen. */
function few(faults: readonly string[]): string[] {
  const rest = faults.length - longestList;
  return rest > 0 ? [...faults.slice(0, longestList), `… and ${rest} more of this kind`] : [...faults];
}

/** I1: whatever a client was told is taken is there, once, and answered once. */
function vanished({ load }: FaultWorld, { commands, answers }: Records): string[] {
  const seen = new Set<string>();
  return few(
    load.acknowledged.flatMap(({ commandId }) => {
      const row = commands.get(commandId);
      if (seen.has(commandId)) return [`I1: ${commandId} was given to two callers`];
      seen.add(commandId);
      if (row === undefined) return [`I1: command ${commandId} was acknowledged and is not there`];
      const results = answers.get(commandId)?.length ?? 0;
      return results === 1 ? [] : [`I1: command ${commandId} was acknowledged and has ${results} results`];
    }),
  );
}

/** I2: no effect happened twice, by the hosts' own count. */
function twice({ witnesses }: Records): string[] {
  return few(
    witnesses.flatMap(({ host, effects }) => {
      const seen = new Set<string>();
      return effects.flatMap(({ kind, commandId }) => {
        const isNew = !seen.has(commandId);
        seen.add(commandId);
        return isNew ? [] : [`I2: ${host.name} has ${kind} twice for ${commandId}`];
      });
    }),
  );
}

/** I11: what happened is in the journal as begun, what is called done happened, what is called not done did not. */
function untold({ witnesses, answers }: Records): string[] {
  return few(
    witnesses.flatMap(({ host, effects, journal }) => {
      const done = new Set(effects.map(({ commandId }) => commandId));
      const before = effects
        .filter(({ commandId }) => journal.commands.get(commandId)?.startedAt == null)
        .map(
          ({ commandId, kind }) =>
            `I11: ${host.name} has ${kind} for ${commandId} before its journal said so`,
        );
      const lies = [...journal.commands].flatMap(([commandId, { command, result }]) => {
        const counts = command.verb === 'inventory.scan' || command.verb === 'updates.install';
        if (!counts || result === null) return [];
        const said = `I14: ${host.name} calls ${command.verb} ${commandId} ${result.outcome}`;
        if (result.outcome === 'succeeded' && result.code !== 'nothing_to_do' && !done.has(commandId))
          return [`${said}, and nothing happened`];
        return result.outcome === 'refused' && done.has(commandId) ? [`${said}, and it happened`] : [];
      });
      const differs = [...journal.commands].flatMap(([commandId, { result }]) => {
        const outcome = answers.get(commandId)?.[0]?.outcome ?? null;
        return result === null || outcome === null || outcome === result.outcome
          ? []
          : [`I14: the server calls ${commandId} ${outcome}, ${host.name} ${result.outcome}`];
      });
      return [...before, ...lies, ...differs];
    }),
  );
}

/** I5: every effect has its dispatch before it and its result after it in the log; every host run tells its way. */
function unrecorded({ witnesses, entries, hostRuns, commands, answers }: Records): string[] {
  const places = new Map(entries.map(({ id }, position) => [id, position]));
  const told = new Map<string, number[]>();
  entries.forEach(({ action, subjectId }, position) => {
    const key = `${action} ${subjectId}`;
    told.set(key, [...(told.get(key) ?? []), position]);
  });
  // Readings share an entry with others, orders have one each.
  const spokenOf = (action: string, commandId: string, entryIds: readonly (string | null)[]): number[] =>
    entryIds.some((id) => id !== null)
      ? entryIds.flatMap((id) => places.get(id ?? '') ?? [])
      : (told.get(`${action} ${commandId}`) ?? []);
  const afterOf = (commandId: string): number[] =>
    spokenOf('command.result', commandId, answers.get(commandId)?.map(({ entryId }) => entryId) ?? []);
  const effects = witnesses.flatMap(({ host, effects: own }) => own.map((effect) => ({ host, ...effect })));
  const faults = effects.flatMap(({ host, kind, commandId }) => {
    const [dispatched] = spokenOf('command.dispatched', commandId, [
      commands.get(commandId)?.entryId ?? null,
    ]);
    if (dispatched === undefined)
      return [`I5: ${host.name} has ${kind} for ${commandId}, which the log never dispatched`];
    const after = afterOf(commandId);
    const isTold = after.length === 1 && (after[0] ?? -1) > dispatched;
    return isTold ? [] : [`I5: ${commandId} has ${after.length} results after its dispatch in the log`];
  });
  const silent = [...answers.keys()]
    .filter((id) => afterOf(id).length === 0)
    .map((id) => `I5: the result of ${id} has no entry in the log`);
  const ways = hostRuns.flatMap(({ id, state }) => brokenWay(id, state, entries));
  return few([...faults, ...silent, ...ways]);
}

/** I3: a change has a release of two people behind it, approved before the command was given out. */
function unreleased({ witnesses, entries, commands }: Records): string[] {
  const approvals = new Map<string, number>();
  entries.forEach(({ action, subjectId }, position) => {
    if (action === 'release.approved' && subjectId !== null) approvals.set(subjectId, position);
  });
  return few(
    witnesses.flatMap(({ host, effects }) =>
      effects
        .filter(({ kind }) => kind === 'installed')
        .flatMap(({ commandId }) => {
          const row = commands.get(commandId);
          const approved = approvals.get(row?.releaseId ?? '');
          const dispatched = entries.findIndex(
            ({ action, subjectId }) => action === 'command.dispatched' && subjectId === commandId,
          );
          if (row?.hostId !== host.hostId)
            return [`I4: ${host.name} has installed what was not for it (${commandId})`];
          return approved !== undefined && approved < dispatched
            ? []
            : [`I3: ${host.name} has installed without a release approved before (${commandId})`];
        }),
    ),
  );
}

/** I1: results that hosts have signed and the server does not hold. */
export async function lostResults(world: FaultWorld): Promise<string[]> {
  return gaps(await collect(world));
}

/** What an agent has signed is held by the server, without a gap. */
function gaps({ witnesses, answers }: Records): string[] {
  const all = [...answers.values()].flat();
  return few(
    witnesses.flatMap(({ host, journal }) => {
      const own = all.filter(({ agentId }) => agentId === host.agentId);
      const seqs = own.map(({ seq }) => seq).sort((a, b) => a - b);
      const gap = seqs.findIndex((seq, index) => seq !== index + 1);
      if (gap >= 0) return [`I1: the results of ${host.name} have a gap or a repetition at ${seqs[gap]}`];
      return seqs.length === journal.lastSeq
        ? []
        : [`I1: ${host.name} has signed ${journal.lastSeq} results, and ${seqs.length} are held`];
    }),
  );
}

/** I14: a host that is called updated is, and one that is called untouched was not touched in that run. */
function untrue({ witnesses, hostRuns }: Records): string[] {
  return few(
    hostRuns.flatMap(({ runId, hostId, state, patch }) => {
      const witness = witnesses.find(({ host }) => host.hostId === hostId);
      // A host that forgot says nothing about its runs.
      if (witness === undefined) return [];
      const isChanged = witness.effects.some(
        ({ kind, commandId }) =>
          kind === 'installed' && witness.journal.commands.get(commandId)?.command.runId === runId,
      );
      const { name } = witness.host;
      if (state === 'committed' && patch === 'installed' && !isChanged)
        return [`I14: ${name} is called committed, and nothing was installed`];
      const isUntouched = patch === 'not_started' || patch === 'not_installed';
      return isUntouched && isChanged ? [`I14: ${name} is called ${patch}, and it was changed`] : [];
    }),
  );
}

/** In a fault that touches no host, every host of every run ends as in the best weather. */
function harmed({ hosts }: FaultWorld, { hostRuns }: Records, runIds: readonly string[]): string[] {
  return few(
    hostRuns
      .filter(({ runId, state }) => runIds.includes(runId) && state !== 'committed' && state !== 'superseded')
      .map(({ hostId, state, why }) => {
        const name = hosts.find((host) => host.hostId === hostId)?.name;
        const isOpen = !(terminalHostRunStates as readonly string[]).includes(state);
        return `${isOpen ? 'I1' : 'I8'}: ${name} ended ${state} in a fault that touches no host (${why ?? 'no decision'})`;
      }),
  );
}

/** I6: the product's own verifier accepts the whole log. */
async function unproved({ installation }: FaultWorld): Promise<string[]> {
  const program = path.join(installation.directories.root, 'server/src/main.ts');
  const child = spawn(process.execPath, [program, 'audit', 'verify'], {
    env: { ...process.env, ...installation.environment, ATLAS_LOG_LEVEL: 'silent' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  const lines = said
    .trim()
    .split('\n')
    .filter((line) => line.startsWith('{'));
  const verdicts = lines.map((line) => JSON.parse(line) as { ok?: boolean });
  if (code !== 0 || verdicts.length === 0)
    return [`I6: the log could not be verified: ${said.slice(0, 300)}`];
  return verdicts.every(({ ok }) => ok === true)
    ? []
    : [`I6: the log does not verify: ${said.slice(0, 500)}`];
}
