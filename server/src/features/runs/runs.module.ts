// Owns runs: waves of hosts, each host's way through its steps, and the truth about how it ended.
// Promises that every state ends by itself, that a command exists before it is sent, and that a crash at any point loses nothing.
// Never invents an order: what a host is told comes from the release that people signed.
import { HostRunEngine } from './host-run.engine.ts';
import { RunEngine } from './run.engine.ts';
import type { RunsDeps } from './runs.deps.ts';
import { RunsJobs } from './runs.jobs.ts';
import { LogBuffer } from './runs.log.ts';
import { runsRoutes } from './runs.routes.ts';
import { RunsService } from './runs.service.ts';

export type { RunsDeps } from './runs.deps.ts';
export type { RunsService } from './runs.service.ts';

export function createRunsModule(deps: RunsDeps) {
  const failed = (error: unknown, id: string): void =>
    // The sweep looks again.
    deps.log.warn({ err: error, id }, 'a run was not moved');
  const hosts: HostRunEngine = new HostRunEngine(deps, (tenantId, runId) => {
    runs.advance(tenantId, runId).catch((error: unknown) => failed(error, runId));
  });
  const runs = new RunEngine(deps, hosts);
  const engines = { hosts, runs, log: new LogBuffer(deps, hosts) };
  const service = new RunsService(deps, engines);
  deps.commands.onResults((tenantId, hostRunIds) => {
    for (const id of hostRunIds) {
      hosts.advance(tenantId, id).catch((error: unknown) => failed(error, id));
    }
  });
  return { service, routes: runsRoutes(deps, service), jobs: new RunsJobs(deps, engines) };
}
