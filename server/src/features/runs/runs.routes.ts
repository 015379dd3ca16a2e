import type { Routes } from '#contract/routes.ts';
import { tenantActor } from '../../platform/http/caller.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import { idPage } from '../../platform/page.ts';
import type { RunsDeps } from './runs.deps.ts';
import * as readModel from './runs.read-model.ts';
import { getHostRun } from './runs.repository.ts';
import type { RunsService } from './runs.service.ts';

type Names =
  | 'listRuns'
  | 'getRun'
  | 'getHostRun'
  | 'listHostRunLog'
  | 'listHostRuns'
  | 'pauseRun'
  | 'resumeRun'
  | 'cancelRun'
  | 'acceptHostRun'
  | 'retryHostRun';

const defaultLines = 500;

export function runsRoutes(deps: RunsDeps, service: RunsService): RouteHandlers<Routes, Names> {
  const { db, clock, commands } = deps;
  const summary = (tenantId: string, runId: string) =>
    db.inTenant(tenantId, (tx) => readModel.getRunSummary(tx, runId));
  return {
    listRuns: ({ params, query }) =>
      db.inTenant(params.tenantId, (tx) =>
        readModel.listRuns(tx, { ...idPage(query), state: query.state ?? null }),
      ),
    getRun: ({ params }) =>
      db.inTenant(params.tenantId, async (tx) => {
        const detail = await readModel.getRunDetail(tx, params.runId, clock.now());
        const { planId, startedAt, notAfter } = detail.run;
        const endedExceptions = await deps.exceptionsEnded?.(tx, planId, Date.parse(startedAt ?? notAfter));
        return { ...detail, endedExceptions: endedExceptions ?? [] };
      }),
    getHostRun: ({ params }) =>
      db.inTenant(params.tenantId, async (tx) => {
        const row = await getHostRun(tx, params.hostRunId);
        const orders = await commands.listOrders(tx, row.id);
        const results = await commands.listResults(tx, { hostRunId: row.id, agentId: row.agentId }, 0);
        return readModel.hostRunDetail(tx, { row, orders, results });
      }),
    listHostRunLog: ({ params, query }) =>
      db.inTenant(params.tenantId, (tx) =>
        readModel.listLog(tx, params.hostRunId, {
          after: query.after ?? 0,
          limit: query.limit ?? defaultLines,
        }),
      ),
    listHostRuns: ({ params, query }) =>
      db.inTenant(params.tenantId, (tx) => readModel.listHostRuns(tx, params.hostId, idPage(query))),
    pauseRun: async (call) => {
      await service.pause(tenantActor(call), call.params.runId, call.body.reason);
      return summary(call.params.tenantId, call.params.runId);
    },
    resumeRun: async (call) => {
      await service.resume(tenantActor(call), call.params.runId, call.body.reason);
      return summary(call.params.tenantId, call.params.runId);
    },
    cancelRun: async (call) => {
      await service.cancel(tenantActor(call), call.params.runId, call.body.reason);
      return summary(call.params.tenantId, call.params.runId);
    },
    acceptHostRun: async (call) => {
      await service.accept(tenantActor(call), call.params.hostRunId, call.body.reason);
      return db.inTenant(call.params.tenantId, async (tx) =>
        readModel.hostRunSummary(await getHostRun(tx, call.params.hostRunId)),
      );
    },
    retryHostRun: async (call) => {
      const hostRunId = await service.retry(tenantActor(call), call.params.hostRunId, call.body.reason);
      return db.inTenant(call.params.tenantId, async (tx) =>
        readModel.hostRunSummary(await getHostRun(tx, hostRunId)),
      );
    },
  };
}
