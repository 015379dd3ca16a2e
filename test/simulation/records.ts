import { terminalHostRunStates } from '#contract/run-transitions.ts';
import type { HostRunState } from '#contract/runs.ts';
import type { SimulatedWorld } from './world.ts';

/** A host's way through a run, as the database says it. */
export interface HostRunRow {
  readonly id: string;
  readonly runId: string;
  readonly hostId: string;
  readonly state: HostRunState;
  readonly wave: number;
  readonly patch: string;
  readonly restart: string;
  readonly openCommandId: string | null;
  readonly replacedBy: string | null;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
}

/** An entry of the audit log. */
export interface EntryRow {
  readonly atMs: number;
  readonly action: string;
  readonly subjectId: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Every host run of the world, oldest first. */
export function readHostRuns(world: SimulatedWorld): Promise<HostRunRow[]> {
  return world.query<HostRunRow>(
    `select id, run_id as "runId", host_id as "hostId", state, wave, outcomes->>'patch' as patch, outcomes->>'restart' as restart,
       open_command_id as "openCommandId", replaced_by as "replacedBy", started_at as "startedAt", ended_at as "endedAt"
     from host_runs order by id`,
  );
}

/** The audit log in its order. */
export function readEntries(world: SimulatedWorld): Promise<EntryRow[]> {
  return world.query<EntryRow>(
    `select extract(epoch from at)::float8 * 1000 as "atMs", action, subject_id as "subjectId", convert_from(leaf, 'UTF8')::jsonb->'details' as details from audit_entries where tenant_id = $1 order by entry_id`,
    [world.tenantId],
  );
}

/** An order as the log tells it. */
export interface OrderEntry {
  readonly position: number;
  readonly atMs: number;
  readonly step: string;
  readonly hostRunId: string;
}

/** Orders in the order of the log. */
export function ordersOf(entries: readonly EntryRow[]): OrderEntry[] {
  return entries.flatMap(({ action, atMs, details }, position) =>
    action === 'command.dispatched' && typeof details.hostRunId === 'string'
      ? [{ position, atMs, step: String(details.step), hostRunId: details.hostRunId }]
      : [],
  );
}

const terminal = new Set<string>(terminalHostRunStates);

/** Where in the log a host run ended; Infinity when it has not. */
export function endOf(hostRunId: string, entries: readonly EntryRow[]): number {
  const at = entries.findLastIndex(
    ({ action, subjectId, details }) =>
      action === 'host_run.transitioned' && subjectId === hostRunId && terminal.has(String(details.to)),
  );
  return at === -1 ? Infinity : at;
}
