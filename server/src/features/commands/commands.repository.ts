import { sql, type Selectable } from 'kysely';
import type { Command } from '#contract/agent-link.ts';
import type { CommandResult } from '#contract/results.ts';
import type { OrderStep } from '#contract/trust.ts';
import { verbCatalogue, type Verb } from '#contract/verbs.ts';
import type { SystemTx, TenantTx } from '../../platform/db.ts';
import { invariant } from '../../platform/errors.ts';
import { firstIdOf } from '../../platform/ids.ts';
import type { Database } from '../../platform/schema.gen.ts';
import { storedResults } from './commands.results.ts';

/** A reading that somebody asked for outside any release. */
export interface ReadingDraft {
  readonly id: string;
  readonly tenantId: string;
  readonly agentId: string;
  readonly hostId: string;
  readonly verb: Verb;
  readonly expiresAtMs: number;
  /** The entry of the audit log that speaks of it, together with others. */
  readonly entryId: string;
}

/** What an agent has signed once, with those of its results that are new. */
export interface FrameDraft {
  readonly tenantId: string;
  readonly agentId: string;
  readonly fresh: readonly CommandResult[];
  readonly payload: Buffer;
  readonly signature: Buffer;
  /** The entry that speaks of the readings answered in it; null when it answers none. */
  readonly entryId: string | null;
  /** It came over SSH: the server could have taken the key that signed it. */
  readonly isVisited: boolean;
}

/** An order of a released host run. */
export interface OrderDraft {
  readonly agentId: string;
  readonly hostId: string;
  readonly verb: Verb;
  readonly releaseId: string;
  readonly runId: string;
  readonly hostRunId: string;
  readonly step: OrderStep;
  readonly attempt: number;
  readonly fence: number;
}

export interface OrderRow extends OrderDraft {
  readonly id: string;
  readonly createdAt: Date;
}

export interface StoredResult {
  readonly seq: number;
  readonly commandId: string;
  readonly receivedAt: Date;
  readonly result: CommandResult;
}

const uuids = (list: readonly (string | null)[]): string => `{${list.map((id) => id ?? 'null').join(',')}}`;

/**
 * Keeps readings, each checked once more against the agent's row: tenant, host, not revoked.
 * Returns the identifiers of those that were kept.
 */
export async function insertReadings(tx: SystemTx, readings: readonly ReadingDraft[]): Promise<Set<string>> {
  if (readings.length === 0) return new Set();
  // Identifiers and verbs need no escaping: one text for each column costs a tenth of what the driver's arrays do.
  const { rows } = await sql<{ id: string }>`
    /* prepared commands.readings */
    insert into commands (id, tenant_id, agent_id, host_id, verb, expires_at, entry_id)
    select x.id, x.tenant_id, x.agent_id, x.host_id, x.verb, to_timestamp(x.expires_at_ms / 1000.0), x.entry_id
    from unnest(
      ${uuids(readings.map((one) => one.id))}::uuid[], ${uuids(readings.map((one) => one.tenantId))}::uuid[],
      ${uuids(readings.map((one) => one.agentId))}::uuid[], ${uuids(readings.map((one) => one.hostId))}::uuid[],
      ${`{${readings.map((one) => one.verb).join(',')}}`}::text[],
      ${`{${readings.map((one) => one.expiresAtMs).join(',')}}`}::bigint[],
      ${uuids(readings.map((one) => one.entryId))}::uuid[]
    ) as x (id, tenant_id, agent_id, host_id, verb, expires_at_ms, entry_id)
    join agents a on a.id = x.agent_id and a.tenant_id = x.tenant_id and a.host_id = x.host_id and a.revoked_at is null
    returning id`.execute(tx);
  return new Set(rows.map(({ id }) => id));
}

/** The sequence numbers that a frame adds. */
function spanOf({ fresh }: FrameDraft): { first: number; last: number } {
  const first = fresh[0]?.seq ?? 0;
  return { first, last: fresh.at(-1)?.seq ?? first };
}

/** Keeps what agents have signed, each payload once. Returns those that are new: others were held before and stay as they are. */
export async function insertFrames(tx: SystemTx, frames: readonly FrameDraft[]): Promise<FrameDraft[]> {
  if (frames.length === 0) return [];
  const spans = frames.map(spanOf);
  const blocks = frames.flatMap(({ signature, payload }) => [signature, payload]);
  let next = 1;
  const offsets = frames.map(({ signature, payload }) => {
    const offset = next;
    next += signature.length + payload.length;
    return offset;
  });
  const { rows } = await sql<{ key: string }>`
    /* prepared commands.frames */
    insert into result_frames (tenant_id, agent_id, first_seq, last_seq, entry_id, signature, payload)
    select x.tenant_id, x.agent_id, x.first_seq, x.last_seq, x.entry_id,
      substring(b.bytes from x.begins for x.signature_bytes), substring(b.bytes from x.begins + x.signature_bytes for x.payload_bytes)
    from (select ${Buffer.concat(blocks)}::bytea as bytes offset 0) as b
    cross join unnest(
      ${uuids(frames.map((one) => one.tenantId))}::uuid[], ${uuids(frames.map((one) => one.agentId))}::uuid[],
      ${`{${spans.map(({ first }) => first).join(',')}}`}::bigint[], ${`{${spans.map(({ last }) => last).join(',')}}`}::bigint[],
      ${uuids(frames.map((one) => one.entryId))}::uuid[], ${`{${offsets.join(',')}}`}::int[],
      ${`{${frames.map((one) => one.signature.length).join(',')}}`}::int[],
      ${`{${frames.map((one) => one.payload.length).join(',')}}`}::int[]
    ) as x (tenant_id, agent_id, first_seq, last_seq, entry_id, begins, signature_bytes, payload_bytes)
    on conflict (tenant_id, agent_id, last_seq) do nothing
    returning agent_id || ' ' || last_seq as key`.execute(tx);
  const kept = new Set(rows.map(({ key }) => key));
  // Of two with the same numbers in one flush the first was kept.
  const fresh = frames.filter((frame) => kept.delete(`${frame.agentId} ${spanOf(frame).last}`));
  await insertOrderResults(tx, fresh);
  return fresh;
}

/** Results of orders, one row each: what the engine asks for. */
async function insertOrderResults(tx: SystemTx, frames: readonly FrameDraft[]): Promise<void> {
  const rows = frames.flatMap((frame) =>
    frame.fresh.flatMap(({ seq, commandId, hostRunId, outcome, code }) =>
      hostRunId === null
        ? []
        : {
            tenant_id: frame.tenantId,
            agent_id: frame.agentId,
            seq,
            frame_seq: spanOf(frame).last,
            command_id: commandId,
            host_run_id: hostRunId,
            outcome,
            code,
          },
    ),
  );
  if (rows.length === 0) return;
  await tx
    .insertInto('command_results')
    .values(rows)
    .onConflict((conflict) => conflict.columns(['tenant_id', 'agent_id', 'seq']).doNothing())
    .execute();
}

/** Keeps an order, compared with the agent's row. Throws InvariantError when the agent is not this host's. */
export async function insertOrder(tx: TenantTx, id: string, draft: OrderDraft): Promise<void> {
  const { agentId, hostId, verb, releaseId, runId, hostRunId, step, attempt, fence } = draft;
  const { numAffectedRows } = await sql`
    insert into commands (id, agent_id, host_id, verb, release_id, run_id, host_run_id, step, attempt, fence)
    select ${id}::uuid, a.id, a.host_id, ${verb}, ${releaseId}::uuid, ${runId}::uuid, ${hostRunId}::uuid, ${step}, ${attempt}::int, ${fence}::int
    from agents a where a.id = ${agentId} and a.host_id = ${hostId}`.execute(tx);
  invariant(numAffectedRows === 1n, 'an order is for the agent of its host');
}

/** The command as the agent gets it. */
export function orderFrame(row: OrderRow): Command {
  return {
    commandId: row.id,
    verb: row.verb,
    releaseId: row.releaseId,
    runId: row.runId,
    hostRunId: row.hostRunId,
    step: row.step,
    fence: row.fence,
  };
}

const orderColumns = [
  'id',
  'agent_id',
  'host_id',
  'verb',
  'release_id',
  'run_id',
  'host_run_id',
  'step',
  'attempt',
  'fence',
  'created_at',
] as const;

type StoredOrder = Pick<Selectable<Database['commands']>, (typeof orderColumns)[number]>;

function orderOf(row: StoredOrder): OrderRow {
  return {
    id: row.id,
    agentId: row.agent_id,
    hostId: row.host_id,
    verb: row.verb as Verb,
    releaseId: row.release_id ?? '',
    runId: row.run_id ?? '',
    hostRunId: row.host_run_id ?? '',
    step: row.step as OrderStep,
    attempt: row.attempt,
    fence: row.fence,
    createdAt: row.created_at,
  };
}

/** Orders of a host run, oldest first. */
export async function listOrders(tx: TenantTx, hostRunId: string): Promise<OrderRow[]> {
  const rows = await tx
    .selectFrom('commands')
    .select(orderColumns)
    .where('host_run_id', '=', hostRunId)
    .orderBy('id')
    .execute();
  return rows.map(orderOf);
}

/** One order that the agent has not answered; null when there is none. */
export async function findOrder(tx: TenantTx, commandId: string): Promise<OrderRow | null> {
  const row = await tx
    .selectFrom('commands as c')
    .select(orderColumns)
    .where('c.id', '=', commandId)
    .where('c.host_run_id', 'is not', null)
    .where((eb) =>
      eb.not(
        eb.exists(
          eb.selectFrom('command_results as r').select('r.seq').whereRef('r.command_id', '=', 'c.id'),
        ),
      ),
    )
    .executeTakeFirst();
  return row === undefined ? null : orderOf(row);
}

/** What this agent, and no other, reported about a host run after `afterSeq`, in sequence. */
export async function listResults(
  tx: TenantTx,
  of: { readonly hostRunId: string; readonly agentId: string },
  afterSeq: number,
): Promise<StoredResult[]> {
  const rows = await tx
    .selectFrom('command_results as r')
    .innerJoin('result_frames as f', (join) =>
      join
        .onRef('f.tenant_id', '=', 'r.tenant_id')
        .onRef('f.agent_id', '=', 'r.agent_id')
        .onRef('f.last_seq', '=', 'r.frame_seq'),
    )
    .select(['r.seq', 'r.command_id', 'f.payload', 'f.received_at'])
    .where('r.host_run_id', '=', of.hostRunId)
    .where('r.agent_id', '=', of.agentId)
    .where('r.seq', '>', afterSeq)
    .orderBy('r.seq')
    .limit(200)
    .execute();
  return rows.map((row) => {
    const result = storedResults(row.payload).find(({ seq }) => seq === row.seq);
    invariant(result !== undefined, 'a result is not in the frame that its row names');
    return { seq: row.seq, commandId: row.command_id, receivedAt: row.received_at, result };
  });
}

const recentFrames = 500;

/** Commands that the agent's newest frames answer. One that is missing here is sent again, and the agent repeats its answer. */
async function recentlyAnswered(tx: TenantTx, agentId: string, since: Date): Promise<Set<string>> {
  const rows = await tx
    .selectFrom('result_frames')
    .select(['payload', 'received_at'])
    .where('agent_id', '=', agentId)
    .orderBy('last_seq', 'desc')
    .limit(recentFrames)
    .execute();
  const recent = rows.filter((row) => row.received_at >= since);
  return new Set(recent.flatMap(({ payload }) => storedResults(payload).map(({ commandId }) => commandId)));
}

/** Readings are waited for as long as the slowest of them may take; an hour allows for clocks of several nodes. */
const readingLifeMs =
  Math.max(...Object.values(verbCatalogue).map((one) => (one.class === 'R0' ? one.timeoutS : 0))) * 1000 +
  3_600_000;
/** Open readings that one agent may have; the oldest go first, the others when it comes again. */
const maxOpenReadings = 10_000;

/** What an agent that comes back is owed. */
export interface Arrival {
  /** Highest result sequence that is held; 0 when none is. */
  readonly held: number;
  /** Whether there may be readings that it has not answered. */
  readonly mayBeAsked: boolean;
}

/** What agents that come back are owed, in the order asked. */
export async function arrivals(
  tx: SystemTx,
  agents: readonly { readonly tenantId: string; readonly agentId: string }[],
  nowMs: number,
): Promise<Arrival[]> {
  const { rows } = await sql<Arrival>`
    /* prepared commands.arrivals */
    select
      coalesce((
        select f.last_seq from result_frames f
        where f.tenant_id = q.tenant_id and f.agent_id = q.agent_id
        order by f.last_seq desc limit 1), 0) as held,
      exists (
        select from commands c
        where c.tenant_id = q.tenant_id and c.agent_id = q.agent_id and c.id > ${firstIdOf(nowMs - readingLifeMs)}
          and c.host_run_id is null and c.expires_at > now()) as "mayBeAsked"
    from unnest(
      ${agents.map(({ tenantId }) => tenantId)}::uuid[],
      ${agents.map(({ agentId }) => agentId)}::uuid[]
    ) with ordinality as q (tenant_id, agent_id, nth)
    order by q.nth
  `.execute(tx);
  return rows;
}

/** Readings that the agent has not answered and that somebody still waits for, oldest first. */
export async function openReadings(tx: TenantTx, agentId: string, nowMs: number): Promise<Command[]> {
  const rows = await tx
    .selectFrom('commands')
    .select(['id', 'verb', 'created_at'])
    .where('agent_id', '=', agentId)
    // Identifiers begin with their instant: only the end of the agent's history is read.
    .where('id', '>', firstIdOf(nowMs - readingLifeMs))
    .where('host_run_id', 'is', null)
    .where('expires_at', '>', sql<Date>`now()`)
    .orderBy('id')
    .limit(maxOpenReadings)
    .execute();
  const [oldest] = rows;
  if (oldest === undefined) return [];
  const answered = await recentlyAnswered(tx, agentId, oldest.created_at);
  return rows.filter(({ id }) => !answered.has(id)).map(({ id, verb }) => readingFrame(id, verb as Verb));
}

export function readingFrame(commandId: string, verb: Verb): Command {
  return { commandId, verb, releaseId: null, runId: null, hostRunId: null, step: null, fence: 0 };
}
