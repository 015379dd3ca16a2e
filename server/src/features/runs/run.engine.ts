import { toInstant } from '../../platform/clock.ts';
import type { TenantTx } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import type { Decision, RunState } from '#contract/runs.ts';
import type { AuditAction } from '#contract/audit.ts';
import type { HostRunEngine } from './host-run.engine.ts';
import { createQueue } from './keyed.queue.ts';
import {
  decideRun,
  isLive,
  runDeadline,
  type HoldingFreeze,
  type QuarantinedUpdate,
  type RunEffect,
  type RunFacts,
} from './run.policy.ts';
import type { RunsDeps } from './runs.deps.ts';
import { waitingFor, waitingSites } from './runs.read-model.ts';
import * as repository from './runs.repository.ts';
import type { RunChange, RunReport, RunRow } from './runs.repository.ts';

type HostEvent = 'start' | 'windowOver' | 'cancel' | 'lock' | 'unlock';

interface Aftermath {
  readonly hostRunIds: readonly string[];
  readonly event: HostEvent;
}

/** Somebody else changed the row meanwhile: nothing was written, look again. */
class Overtaken extends Error {}

const tries = 6;
const hostsAtOnce = 8;

/** Moves one run: waves, pause, threshold, end. The hosts are moved by their own engine. */
export class RunEngine {
  readonly #deps: RunsDeps;
  readonly #hosts: HostRunEngine;
  readonly #queue = createQueue();

  constructor(deps: RunsDeps, hosts: HostRunEngine) {
    this.#deps = deps;
    this.#hosts = hosts;
  }

  /** Looks at the run and does what time and hosts ask for. The same call twice changes nothing the second time. */
  advance(tenantId: string, runId: string): Promise<void> {
    return this.#queue.run(runId, async () => {
      await this.#seal(tenantId, runId);
      const aftermath = await this.#transact(tenantId, runId);
      if (aftermath !== null) await this.tell(tenantId, aftermath.hostRunIds, aftermath.event);
    });
  }

  idle(): Promise<void> {
    return this.#queue.idle();
  }

  /** Tells hosts the same thing, a few at a time. */
  async tell(tenantId: string, hostRunIds: readonly string[], event: HostEvent): Promise<void> {
    for (let start = 0; start < hostRunIds.length; start += hostsAtOnce) {
      const some = hostRunIds.slice(start, start + hostsAtOnce);
      await Promise.all(some.map((id) => this.#hosts.advance(tenantId, id, [{ type: event }])));
    }
  }

  /** No audit, no dispatch: the approval must be in a signed checkpoint before anything starts. */
  async #seal(tenantId: string, runId: string): Promise<void> {
    const { db, seal, clock, log } = this.#deps;
    const row = await db.inTenant(tenantId, (tx) => repository.getRun(tx, runId));
    if (row.state !== 'scheduled' || row.sealedAt !== null) return;
    try {
      await seal(tenantId, row.approvedEntryId);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      log.warn({ err: error, runId }, 'a run waits for its approval to be sealed');
      return;
    }
    await db.inTenant(tenantId, (tx) => repository.saveRun(tx, row, { sealedAt: new Date(clock.now()) }));
  }

  async #transact(tenantId: string, runId: string): Promise<Aftermath | null> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#deps.db.inTenant(tenantId, (tx) => this.#step(tx, runId));
      } catch (error) {
        if (!(error instanceof Overtaken) || attempt === tries) throw error;
      }
    }
  }

  async #step(tx: TenantTx, runId: string): Promise<Aftermath | null> {
    const row = await repository.getRun(tx, runId);
    if (!isLive(row.state)) return null;
    const nowMs = this.#deps.clock.now();
    const facts = await this.#facts(tx, row, nowMs);
    const effects = decideRun(facts, nowMs);
    const state = effects.findLast((effect) => effect.type === 'transition')?.to ?? row.state;
    const deadlineMs = runDeadline({ ...facts, state }, nowMs);
    const deadlineAt = deadlineMs === null ? null : new Date(deadlineMs);
    const unchanged = effects.length === 0 && deadlineAt?.getTime() === row.deadlineAt?.getTime();
    if (!unchanged) await this.#record(tx, row, { effects, state, deadlineAt, nowMs });
    for (const effect of effects) {
      if (effect.type === 'startWave') return { hostRunIds: effect.hostRunIds, event: 'start' };
      if (effect.type === 'miss') return { hostRunIds: effect.hostRunIds, event: 'windowOver' };
    }
    return null;
  }

  async #facts(tx: TenantTx, row: RunRow, nowMs: number): Promise<RunFacts> {
    const [lock, members] = [await this.#deps.trust.lockOf(tx), await repository.membersOf(tx, row.id)];
    return {
      state: row.state,
      sealed: row.sealedAt !== null,
      notBeforeMs: row.notBefore.getTime(),
      startByMs: row.startBy.getTime(),
      pauseS: row.pauseS,
      failureThresholdPercent: row.failureThresholdPercent,
      locked: lock.tenant || lock.runIds.includes(row.id),
      acceptedWave: row.acceptedWave,
      frozen: await this.#frozen(tx, row, nowMs),
      quarantined: await this.#quarantined(tx, row.id),
      saidFreezeId: row.lastDecision?.code === 'frozen' ? String(row.lastDecision.values['freezeId']) : null,
      members,
    };
  }

  /** Asked in full only while anything is in quarantine. */
  async #quarantined(tx: TenantTx, runId: string): Promise<QuarantinedUpdate | null> {
    const active = (await this.#deps.quarantine?.active(tx)) ?? [];
    return active.length === 0 ? null : waitingFor(tx, runId, active);
  }

  /** Asked only while a freeze could hold something back. */
  async #frozen(tx: TenantTx, row: RunRow, nowMs: number): Promise<HoldingFreeze | null> {
    if (nowMs < row.notBefore.getTime()) return null;
    const siteIds = await waitingSites(tx, row.id);
    return siteIds.length === 0 ? null : this.#deps.frozenAt(tx, siteIds, nowMs);
  }

  async #record(
    tx: TenantTx,
    row: RunRow,
    change: {
      readonly effects: readonly RunEffect[];
      readonly state: RunState;
      readonly deadlineAt: Date | null;
      readonly nowMs: number;
    },
  ): Promise<void> {
    const { effects, state, nowMs } = change;
    const at = new Date(nowMs);
    const decisions = effects
      .filter((effect) => effect.type === 'decide')
      .map(({ code, values }): Decision => ({ at: toInstant(nowMs), code, values }));
    const started = row.state === 'scheduled' && state === 'running';
    const ended = !isLive(state);
    const report = ended ? await this.#report(tx, row, { state, nowMs }) : undefined;
    const last = decisions.at(-1);
    const saved: RunChange = {
      state,
      deadlineAt: change.deadlineAt,
      ...(started ? { startedAt: at } : {}),
      ...(ended ? { endedAt: at } : {}),
      ...(last === undefined ? {} : { lastDecision: last }),
      ...(report === undefined ? {} : { report }),
    };
    if (!(await repository.saveRun(tx, row, saved))) throw new Overtaken();
    await repository.recordDecisions(
      tx,
      decisions.map((decision) => ({ ...decision, id: this.#deps.newId(), runId: row.id, hostRunId: null })),
    );
    if (ended) await this.#deps.ended?.(tx, row.id);
    if (state === 'expired') await this.#deps.takeBack?.(tx, row.id, { kind: 'missed', reason: null });
    if (started)
      await this.#audit(tx, row, ['run.started', { number: row.number, releaseId: row.releaseId }]);
    if (state === 'paused' && row.state !== 'paused')
      await this.#audit(tx, row, ['run.paused', { ...last?.values }]);
    // Looking again for those who wait for a group is no news.
    if (effects.some(({ type }) => type !== 'startWave')) {
      await this.#deps.emit(tx, {
        type: 'run.changed',
        subjectId: row.id,
        data: { state, number: row.number },
      });
    }
  }

  /** The end and the line of the report, both in the audit log. */
  async #report(
    tx: TenantTx,
    row: RunRow,
    { state, nowMs }: { readonly state: RunState; readonly nowMs: number },
  ): Promise<RunReport> {
    const totals = await repository.totalsOf(tx, row.id);
    const durationS = row.startedAt === null ? 0 : Math.round((nowMs - row.startedAt.getTime()) / 1000);
    const { rollbackSecondsMax, updatesInstalled, ...states } = totals;
    await this.#audit(tx, row, ['run.ended', { number: row.number, state, ...states }]);
    const auditEntryId = await this.#audit(tx, row, [
      'run.report_recorded',
      {
        number: row.number,
        state,
        durationS,
        updatesInstalled,
        rollbackSecondsMax,
        ...states,
      },
    ]);
    return { auditEntryId, rollbackSecondsMax, updatesInstalled, durationS };
  }

  async #audit(
    tx: TenantTx,
    row: RunRow,
    [action, details]: readonly [AuditAction, Record<string, unknown>],
  ): Promise<string> {
    const { id } = await this.#deps.audit.record(tx, {
      action,
      actorKind: 'system',
      actorId: null,
      subjectType: 'run',
      subjectId: row.id,
      outcome: 'ok',
      digest: null,
      details,
    });
    return id;
  }
}
