import { sql } from 'kysely';
import type { Outcome, ResultCode, ResultFacts } from '#contract/results.ts';
import type {
  Decision,
  HostRunDetail,
  HostRunSummary,
  RunDetail,
  RunState,
  RunSummary,
  StepView,
} from '#contract/runs.ts';
import type { OrderStep } from '#contract/trust.ts';
import { toInstant } from '../../platform/clock.ts';
import type { TenantTx } from '../../platform/db.ts';
import { byId, pageOf, type IdPage } from '../../platform/page.ts';
import type { OrderRow, StoredResult } from '../commands/commands.module.ts';
import { clocksOf } from './host-run.clocks.ts';
import { isLive } from './run.policy.ts';
import * as repository from './runs.repository.ts';
import type { HostRunRow, RunRow } from './runs.repository.ts';
import { describeWave, endOfWave, waveOf, type WaveMember } from './wave.policy.ts';

interface Counts {
  readonly hosts: number;
  readonly committed: number;
  readonly rolledBack: number;
  readonly failed: number;
  readonly waiting: number;
}

const none: Counts = { hosts: 0, committed: 0, rolledBack: 0, failed: 0, waiting: 0 };

function instant(at: Date | null): string | null {
  return at === null ? null : toInstant(at);
}

async function countsOf(tx: TenantTx, runIds: readonly string[]): Promise<Map<string, Counts>> {
  if (runIds.length === 0) return new Map();
  const { rows } = await sql<Counts & { runId: string }>`
    select run_id as "runId", count(*) as hosts,
      count(*) filter (where state = 'committed') as committed,
      count(*) filter (where state = 'rolled_back') as "rolledBack",
      count(*) filter (where state in ('failed', 'rollback_failed', 'cancelled', 'missed', 'superseded')) as failed,
      count(*) filter (where state = 'planned') as waiting
    from host_runs
    where run_id = any(${runIds}::uuid[]) and replaced_by is null
    group by run_id
  `.execute(tx);
  return new Map(rows.map(({ runId, ...counts }) => [runId, counts]));
}

function runSummary(row: RunRow, counts: Counts): RunSummary {
  return {
    id: row.id,
    number: row.number,
    planId: row.planId,
    releaseId: row.releaseId,
    title: row.title,
    state: row.state,
    notBefore: toInstant(row.notBefore),
    notAfter: toInstant(row.notAfter),
    startedAt: instant(row.startedAt),
    endedAt: instant(row.endedAt),
    ...counts,
    lastDecision: row.lastDecision,
    version: row.version,
  };
}

export function hostRunSummary(row: HostRunRow): HostRunSummary {
  const { run } = row;
  const heardMs = Math.max(row.lastHeardAt?.getTime() ?? 0, run.startedAtMs === null ? 0 : run.lastHeardAtMs);
  return {
    id: row.id,
    runId: row.runId,
    hostId: row.hostId,
    hostname: row.hostname,
    wave: row.wave,
    order: row.position,
    state: run.state,
    stateSince: toInstant(run.sinceMs),
    lostIn: run.lostIn,
    outcomes: run.outcomes,
    currentStep: run.open?.step ?? run.again?.step ?? null,
    percent: row.percent,
    packages: row.packages.length,
    rollbackTier: run.terms.rollbackTier,
    startedAt: run.startedAtMs === null ? null : toInstant(run.startedAtMs),
    endedAt: run.endedAtMs === null ? null : toInstant(run.endedAtMs),
    acceptedAt: instant(row.acceptedAt),
    lastHeardAt: heardMs === 0 ? null : toInstant(heardMs),
    lastDecision: row.lastDecision,
    rollbackSeconds: run.rollbackSeconds,
  };
}

async function decisionsOf(
  tx: TenantTx,
  where: { readonly runId: string; readonly hostRunId: string | null },
): Promise<Decision[]> {
  const rows = await tx
    .selectFrom('run_decisions')
    .select(['at', sql<Decision['code']>`code`.as('code'), sql<Decision['values']>`values`.as('values')])
    .where('run_id', '=', where.runId)
    .where('host_run_id', where.hostRunId === null ? 'is' : '=', where.hostRunId)
    .orderBy('id')
    .limit(1000)
    .execute();
  return rows.map(({ at, code, values }) => ({ at: toInstant(at), code, values }));
}

export async function getRunSummary(tx: TenantTx, runId: string): Promise<RunSummary> {
  const row = await repository.getRun(tx, runId);
  return runSummary(row, (await countsOf(tx, [runId])).get(runId) ?? none);
}

/** Newest first; one row more than asked for says that there is another page. */
export async function listRuns(tx: TenantTx, page: IdPage & { readonly state: RunState | null }) {
  let query = repository
    .selectRuns(tx)
    .orderBy('id', 'desc')
    .limit(page.limit + 1);
  if (page.before !== null) query = query.where('id', '<', page.before);
  if (page.state !== null) query = query.where('state', '=', page.state);
  const rows = await query.execute();
  const counts = await countsOf(
    tx,
    rows.map(({ id }) => id),
  );
  return pageOf(rows, page.limit, {
    item: (row): RunSummary => runSummary(row, counts.get(row.id) ?? none),
    keys: byId,
  });
}

/** Newest first. */
export async function listHostRuns(tx: TenantTx, hostId: string, page: IdPage) {
  let query = repository
    .selectHostRuns(tx)
    .where('host_id', '=', hostId)
    .orderBy('id', 'desc')
    .limit(page.limit + 1);
  if (page.before !== null) query = query.where('id', '<', page.before);
  const rows = await query.execute();
  return pageOf(rows, page.limit, { item: hostRunSummary, keys: byId });
}

function waveViews(row: RunRow, members: readonly WaveMember[], nowMs: number): RunDetail['waves'] {
  const waves = [...new Set(members.map(({ wave }) => wave))].sort((a, b) => a - b);
  let readyAtMs: number | null = row.notBefore.getTime();
  return waves.map((wave, index) => {
    const own = waveOf(members, wave);
    const held = row.state === 'paused' || row.state === 'stopping' || !isLive(row.state);
    const facts = { wave: index + 1, members: own, pauseS: row.pauseS, readyAtMs, held };
    const { state, startsAtMs } = describeWave(facts, nowMs);
    readyAtMs = endOfWave(own);
    return {
      wave,
      state,
      hosts: own.length,
      ended: own.filter(({ endedAtMs }) => endedAtMs !== null).length,
      well: own.filter((member) => member.state === 'committed').length,
      startsAt: startsAtMs === null ? null : toInstant(startsAtMs),
    };
  });
}

async function auditIndexOf(tx: TenantTx, entryId: string): Promise<number | null> {
  const leaf = await tx
    .selectFrom('audit_leaves')
    .select('leaf_index')
    .where('entry_id', '=', entryId)
    .executeTakeFirst();
  return leaf?.leaf_index ?? null;
}

/** A run without what its plan rested on. */
export async function getRunDetail(
  tx: TenantTx,
  runId: string,
  nowMs: number,
): Promise<Omit<RunDetail, 'endedExceptions'>> {
  const row = await repository.getRun(tx, runId);
  const hostRuns = await repository
    .selectHostRuns(tx)
    .where('run_id', '=', runId)
    .where('replaced_by', 'is', null)
    .orderBy('wave')
    .orderBy('position')
    .execute();
  const members = hostRuns.map(({ id, wave, run }) => ({
    id,
    wave,
    state: run.state,
    endedAtMs: run.endedAtMs,
  }));
  const { report } = row;
  return {
    run: runSummary(row, (await countsOf(tx, [runId])).get(runId) ?? none),
    waves: waveViews(row, members, nowMs),
    hostRuns: hostRuns.map(hostRunSummary),
    decisions: await decisionsOf(tx, { runId, hostRunId: null }),
    report:
      report === null
        ? null
        : {
            auditIndex: await auditIndexOf(tx, report.auditEntryId),
            rollbackSecondsMax: report.rollbackSecondsMax,
            updatesInstalled: report.updatesInstalled,
            durationS: report.durationS,
          },
  };
}

interface StepSources {
  readonly row: HostRunRow;
  readonly orders: readonly OrderRow[];
  readonly results: readonly StoredResult[];
}

function answer(result: StoredResult['result']): {
  state: Outcome;
  code: ResultCode;
  detail: string;
  facts: ResultFacts;
  startedAt: string | null;
  endedAt: string;
} {
  const { outcome, code, detail, facts, startedAt, endedAt } = result;
  return { state: outcome, code, detail, facts, startedAt, endedAt };
}

const unanswered = { code: null, detail: null, facts: null, startedAt: null, endedAt: null };

function openState(row: HostRunRow): 'queued' | 'delivered' | 'running' {
  const { open } = row.run;
  if (open === null || open.deliveredAtMs === null) return 'queued';
  return open.progressAtMs !== null || row.phase !== null ? 'running' : 'delivered';
}

/** An order that was given up has no answer: it is shown as it ended for us, until a late truth comes. */
function stepView(order: OrderRow, sources: StepSources): StepView {
  const { row, results } = sources;
  const stored = results.findLast(({ commandId }) => commandId === order.id);
  const isOpen = row.openCommandId === order.id && row.run.open !== null;
  const { totalBy } = clocksOf(row.run);
  return {
    step: order.step,
    attempt: order.attempt,
    commandId: order.id,
    ...unanswered,
    ...(stored === undefined ? { state: isOpen ? openState(row) : 'timeout' } : answer(stored.result)),
    phase: isOpen ? row.phase : null,
    percent: isOpen ? row.percent : null,
    createdAt: toInstant(order.createdAt),
    deadlineAt: isOpen && totalBy !== null ? toInstant(totalBy) : null,
  };
}

/** What the host did by itself, without an order of ours. */
function ownStep({ commandId, receivedAt, result }: StoredResult): StepView[] {
  if (result.step === null) return [];
  const step: OrderStep = result.step;
  return [
    {
      step,
      attempt: 1,
      commandId,
      ...answer(result),
      phase: null,
      percent: null,
      createdAt: result.startedAt ?? toInstant(receivedAt),
      deadlineAt: null,
    },
  ];
}

async function reachOf(tx: TenantTx, agentId: string): Promise<HostRunDetail['reach']> {
  const row = await tx.selectFrom('agents').select('reach').where('id', '=', agentId).executeTakeFirst();
  return row?.reach === 'ssh' ? 'ssh' : 'agent';
}

export async function hostRunDetail(tx: TenantTx, sources: StepSources): Promise<HostRunDetail> {
  const { row, orders, results } = sources;
  const known = new Set(orders.map(({ id }) => id));
  return {
    hostRun: hostRunSummary(row),
    reach: await reachOf(tx, row.agentId),
    steps: [
      ...orders.map((order) => stepView(order, sources)),
      ...results.filter(({ commandId }) => !known.has(commandId)).flatMap(ownStep),
    ],
    decisions: await decisionsOf(tx, { runId: row.runId, hostRunId: row.id }),
    packages: [...row.packages],
  };
}

/** What the host said after the given line, oldest first. */
export async function listLog(
  tx: TenantTx,
  hostRunId: string,
  page: { readonly after: number; readonly limit: number },
) {
  await repository.getHostRun(tx, hostRunId);
  const rows = await tx
    .selectFrom('host_run_log')
    .select(['seq', 'at', sql<OrderStep | null>`step`.as('step'), 'text'])
    .where('host_run_id', '=', hostRunId)
    .where('seq', '>', page.after)
    .orderBy('seq')
    .limit(page.limit)
    .execute();
  const items = rows.map(({ seq, at, step, text }) => ({ seq, at: toInstant(at), step, text }));
  return { items, lastSeq: items.at(-1)?.seq ?? page.after };
}

/** Sites of the hosts that have not started, each once. */
export async function waitingSites(tx: TenantTx, runId: string): Promise<string[]> {
  const rows = await tx
    .selectFrom('host_runs as r')
    .innerJoin('hosts as h', 'h.id', 'r.host_id')
    .select('h.site_id')
    .distinct()
    .where('r.run_id', '=', runId)
    .where('r.state', '=', 'planned')
    .where('r.replaced_by', 'is', null)
    .execute();
  return rows.map(({ site_id }) => site_id);
}

/** The first of these updates that hosts of a run which have not begun would install; null when there is none. */
export async function waitingFor(
  tx: TenantTx,
  runId: string,
  updates: readonly { readonly name: string; readonly version: string }[],
): Promise<{ readonly name: string; readonly version: string; readonly hosts: number } | null> {
  const { rows } = await sql<{ name: string; version: string; hosts: number }>`
    select u.name, u.version, count(*)::int as hosts
    from host_runs h
    cross join lateral jsonb_to_recordset(h.packages) p (name text, "to" text)
    join jsonb_to_recordset(${JSON.stringify(updates)}::jsonb) u (name text, version text)
      on u.name = p.name and u.version = p."to"
    where h.run_id = ${runId} and h.state = 'planned' and h.replaced_by is null
    group by u.name, u.version order by u.name, u.version limit 1
  `.execute(tx);
  return rows[0] ?? null;
}
