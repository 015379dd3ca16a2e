import { sql, type Selectable } from 'kysely';
import type { Command } from '#contract/agent-link.ts';
import type { CommandResult } from '#contract/results.ts';
import type { OrderStep } from '#contract/trust.ts';
import type { Verb } from '#contract/verbs.ts';
import type { AnyTx, SystemTx, TenantTx } from '../../platform/db.ts';
import type { Database } from '../../platform/schema.gen.ts';
import { storedResult, type VerifiedResult } from './commands.results.ts';

/** A reading that somebody asked for outside any release. */
export interface ReadingDraft {
  readonly id: string;
  readonly tenantId: string;
  readonly agentId: string;
  readonly hostId: string;
  readonly verb: Verb;
  readonly expiresAtMs: number;
}

export interface ResultDraft extends VerifiedResult {
  readonly tenantId: string;
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

/** Names a result among all: one agent counts its own. */
export function resultName({ result }: ResultDraft): string {
  return `${result.agent} ${result.seq}`;
}

/**
 * The one statement of a flush. Every reading is checked once more against the agent's row: tenant, host, not revoked.
 * Returns what was written: identifiers of readings, and `resultName` of results that were not held already.
 */
export async function insertFlush(
  tx: SystemTx,
  readings: readonly ReadingDraft[],
  results: readonly ResultDraft[],
): Promise<Set<string>> {
  const commandsJson = JSON.stringify(
    readings.map((one) => ({
      id: one.id,
      tenant_id: one.tenantId,
      agent_id: one.agentId,
      host_id: one.hostId,
      verb: one.verb,
      expires_at: new Date(one.expiresAtMs).toISOString(),
    })),
  );
  const resultsJson = JSON.stringify(
    results.map(({ tenantId, result, payload, signature }) => ({
      tenant_id: tenantId,
      agent_id: result.agent,
      seq: result.seq,
      command_id: result.commandId,
      host_run_id: result.hostRunId,
      outcome: result.outcome,
      code: result.code,
      payload: payload.toString('base64'),
      signature: signature.toString('base64'),
    })),
  );
  const { rows } = await sql<{ key: string }>`
    with c as (
      insert into commands (id, tenant_id, agent_id, host_id, verb, expires_at)
      select x.id, x.tenant_id, x.agent_id, x.host_id, x.verb, x.expires_at
      from jsonb_to_recordset(${commandsJson}::jsonb)
        x (id uuid, tenant_id uuid, agent_id uuid, host_id uuid, verb text, expires_at timestamptz)
      join agents a on a.id = x.agent_id and a.tenant_id = x.tenant_id and a.host_id = x.host_id and a.revoked_at is null
      returning id
    ), r as (
      insert into command_results (tenant_id, agent_id, seq, command_id, host_run_id, outcome, code, payload, signature)
      select y.tenant_id, y.agent_id, y.seq, y.command_id, y.host_run_id, y.outcome, y.code,
        decode(y.payload, 'base64'), decode(y.signature, 'base64')
      from jsonb_to_recordset(${resultsJson}::jsonb) y (
        tenant_id uuid, agent_id uuid, seq bigint, command_id uuid, host_run_id uuid, outcome text, code text,
        payload text, signature text)
      on conflict (tenant_id, agent_id, seq) do nothing
      returning agent_id, seq
    )
    select id::text as key from c union all select agent_id || ' ' || seq from r
  `.execute(tx);
  return new Set(rows.map(({ key }) => key));
}

export async function insertOrder(tx: TenantTx, id: string, draft: OrderDraft): Promise<void> {
  await tx
    .insertInto('commands')
    .values({
      id,
      agent_id: draft.agentId,
      host_id: draft.hostId,
      verb: draft.verb,
      release_id: draft.releaseId,
      run_id: draft.runId,
      host_run_id: draft.hostRunId,
      step: draft.step,
      attempt: draft.attempt,
      fence: draft.fence,
    })
    .execute();
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
    .selectFrom('command_results')
    .select(['seq', 'command_id', 'payload', 'received_at'])
    .where('host_run_id', '=', of.hostRunId)
    .where('agent_id', '=', of.agentId)
    .where('seq', '>', afterSeq)
    .orderBy('seq')
    .limit(200)
    .execute();
  return rows.map((row) => ({
    seq: row.seq,
    commandId: row.command_id,
    receivedAt: row.received_at,
    result: storedResult(row.payload),
  }));
}

/** Highest result sequence that is held for an agent; 0 when none is. */
export async function lastSeq(tx: AnyTx, agentId: string): Promise<number> {
  const row = await tx
    .selectFrom('command_results')
    .select('seq')
    .where('agent_id', '=', agentId)
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.seq ?? 0;
}

/** Readings that the agent has not answered and that somebody still waits for. */
export async function openReadings(tx: TenantTx, agentId: string): Promise<Command[]> {
  const rows = await tx
    .selectFrom('commands as c')
    .select(['c.id as id', 'c.verb as verb'])
    .where('c.agent_id', '=', agentId)
    .where('c.host_run_id', 'is', null)
    .where('c.expires_at', '>', sql<Date>`now()`)
    .where((eb) =>
      eb.not(
        eb.exists(
          eb.selectFrom('command_results as r').select('r.seq').whereRef('r.command_id', '=', 'c.id'),
        ),
      ),
    )
    .orderBy('c.id')
    .limit(500)
    .execute();
  return rows.map(({ id, verb }) => readingFrame(id, verb as Verb));
}

export function readingFrame(commandId: string, verb: Verb): Command {
  return { commandId, verb, releaseId: null, runId: null, hostRunId: null, step: null, fence: 0 };
}
