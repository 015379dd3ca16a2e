import { sql } from 'kysely';
import type { AgentFrame } from '#contract/agent-link.ts';
import type { OrderStep } from '#contract/trust.ts';
import type { TenantTx } from '../../platform/db.ts';
import type { HostRunEngine } from './host-run.engine.ts';
import type { RunsDeps } from './runs.deps.ts';
import { noteHeard } from './runs.sweep.ts';

type ProgressFrame = Extract<AgentFrame, { type: 'progress' }>;
type Line = ProgressFrame['lines'][number];

interface AgentRef {
  readonly tenantId: string;
  readonly agentId: string;
}

/** What one host run said since the last flush. */
interface Said extends AgentRef {
  readonly hostRunId: string;
  readonly commandId: string;
  readonly phase: string;
  readonly percent: number | null;
  readonly lines: Line[];
}

/** Lines kept of one host run. */
const maxLines = 5_000;
/** Lines that wait in memory for one host run; a host that talks faster loses the oldest, and is told so in the log. */
const maxBuffered = 1_000;
/** The rules hear of progress this often at most: their progress clocks are minutes long. */
const tellEveryMs = 20_000;

/** Gathers what agents say while they work and writes it down in bounded, coalesced steps. */
export class LogBuffer {
  readonly #deps: RunsDeps;
  readonly #hosts: HostRunEngine;
  readonly #said = new Map<string, Said>();
  readonly #heard = new Map<string, AgentRef & { readonly atMs: number }>();
  readonly #toldAtMs = new Map<string, number>();

  constructor(deps: RunsDeps, hosts: HostRunEngine) {
    this.#deps = deps;
    this.#hosts = hosts;
  }

  heard(agent: AgentRef): void {
    const { tenantId, agentId } = agent;
    this.#heard.set(agentId, { tenantId, agentId, atMs: this.#deps.clock.now() });
  }

  progress(agent: AgentRef, frame: ProgressFrame): void {
    this.heard(agent);
    const { hostRunId, commandId, phase, percent } = frame;
    if (hostRunId === null) return;
    const before = this.#said.get(hostRunId);
    const lines = [...(before?.lines ?? []), ...frame.lines];
    const { tenantId, agentId } = agent;
    this.#said.set(hostRunId, {
      tenantId,
      agentId,
      hostRunId,
      commandId,
      phase,
      percent,
      lines: lines.slice(-maxBuffered),
    });
  }

  /** Writes down what was gathered. What fails is lost: it is for people, not for decisions. */
  async flush(): Promise<void> {
    const said = [...this.#said.values()];
    const heard = [...this.#heard.values()];
    this.#said.clear();
    this.#heard.clear();
    if (heard.length > 0) {
      const lost = await this.#deps.db.inSystem('runs.heard', (tx) => noteHeard(tx, heard));
      for (const { tenantId, id } of lost) await this.#hosts.advance(tenantId, id, [{ type: 'heard' }]);
    }
    for (const one of said) {
      try {
        await this.#write(one);
      } catch (error) {
        this.#deps.log.warn(
          { err: error, hostRunId: one.hostRunId },
          'the progress of a host run was not written',
        );
      }
    }
  }

  async #write(said: Said): Promise<void> {
    const open = await this.#deps.db.inTenant(said.tenantId, (tx) => this.#store(tx, said));
    if (open === null) return;
    const nowMs = this.#deps.clock.now();
    if (nowMs - (this.#toldAtMs.get(said.hostRunId) ?? 0) < tellEveryMs) return;
    this.#toldAtMs.set(said.hostRunId, nowMs);
    if (this.#toldAtMs.size > 10_000) this.#toldAtMs.clear();
    await this.#hosts.advance(said.tenantId, said.hostRunId, [{ type: 'progress', ...open }]);
  }

  /** Returns the order that the progress is about, when it is the open one. */
  async #store(tx: TenantTx, said: Said): Promise<{ step: OrderStep; attempt: number } | null> {
    const { hostRunId, agentId, phase, percent, lines } = said;
    // The agent is part of the key: nobody writes into another host's log.
    const row = await tx
      .updateTable('host_runs')
      .set({ phase, percent, log_lines: sql<number>`least(log_lines + ${lines.length}, ${maxLines})` })
      .where('id', '=', hostRunId)
      .where('agent_id', '=', agentId)
      .where('ended_at', 'is', null)
      .returning([
        'open_command_id',
        'log_lines',
        'run_id',
        sql<{ step: OrderStep; attempt: number } | null>`memory -> 'open'`.as('open'),
      ])
      .executeTakeFirst();
    if (row === undefined) return null;
    const step = row.open?.step ?? null;
    const lastSeq = await this.#append(tx, { hostRunId, step, lines });
    await this.#deps.emit(tx, {
      type: 'hostRun.log',
      subjectId: hostRunId,
      data: { runId: row.run_id, phase, percent, lastSeq },
    });
    return row.open !== null && row.open_command_id === said.commandId ? row.open : null;
  }

  /** Adds lines behind those that are there; what goes past the cap is left out. Returns the last number. */
  async #append(
    tx: TenantTx,
    said: { readonly hostRunId: string; readonly step: OrderStep | null; readonly lines: readonly Line[] },
  ): Promise<number> {
    const { lastSeq } = await tx
      .selectFrom('host_run_log')
      .select((eb) => eb.fn.coalesce(eb.fn.max('seq'), sql<number>`0`).as('lastSeq'))
      .where('host_run_id', '=', said.hostRunId)
      .executeTakeFirstOrThrow();
    const room = said.lines.slice(0, Math.max(0, maxLines - lastSeq));
    if (room.length === 0) return lastSeq;
    await tx
      .insertInto('host_run_log')
      .values(
        room.map(({ at, text }, index) => ({
          host_run_id: said.hostRunId,
          seq: lastSeq + 1 + index,
          at,
          step: said.step,
          text: text.replaceAll('\u0000', '\ufffd'),
        })),
      )
      .execute();
    return lastSeq + room.length;
  }
}
