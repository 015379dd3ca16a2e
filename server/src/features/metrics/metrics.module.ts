// Owns measures of hosts over time: raw for days, packed by the hour for months, rolled up for years.
// Promises: what is kept costs little, is gone after its time, and never stands in the way of a command or a result.
// Never: decides anything from a measure, or believes more of it than that it came from that host.
import type { metricsRoutes as described } from '#contract/metrics.ts';
import type { Routes } from '#contract/routes.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import type { MetricsDeps } from './metrics.deps.ts';
import { MetricsIntake } from './metrics.intake.ts';
import { MetricsKeeper } from './metrics.keeper.ts';
import { MetricsService } from './metrics.service.ts';

export type { MetricsDeps } from './metrics.deps.ts';

export interface MetricsModule {
  readonly intake: Pick<MetricsIntake, 'record' | 'stop' | 'counts'>;
  readonly keeper: Pick<MetricsKeeper, 'start' | 'stop' | 'tick'>;
  readonly service: Pick<MetricsService, 'get'>;
  readonly routes: RouteHandlers<Routes, keyof typeof described>;
}

/** Counted by process: monitoring adds them up. */
function showCounts({ metrics }: MetricsDeps, intake: MetricsIntake): void {
  const { counts } = intake;
  const show = (name: string, help: string, read: () => number): void =>
    metrics.gauge(`atlas_host_samples_${name}`, `Samples of hosts ${help}`, read);
  show('waiting', 'that wait for the database', () => intake.waiting);
  show('stored', 'stored since the start', () => counts.stored);
  show('ignored', 'that came twice or after their day was closed', () => counts.ignored);
  show('shed', 'thrown away because too many waited', () => counts.shed);
  show('refused', 'of the future or past their retention', () => counts.refused);
  show('dropped_by_agents', 'that agents threw away while they were cut off', () => counts.droppedByAgents);
}

export function createMetricsModule(deps: MetricsDeps): MetricsModule {
  const intake = new MetricsIntake(deps);
  const service = new MetricsService(deps);
  showCounts(deps, intake);
  return {
    intake,
    keeper: new MetricsKeeper(deps),
    service,
    routes: {
      getHostMetrics: ({ params, query }) => service.get(params.tenantId, params.hostId, query),
    },
  };
}
