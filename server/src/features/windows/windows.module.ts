// Owns maintenance windows and freezes: rules on local time, and the instants that they give.
// Promises that a freeze always wins and that no occurrence is lost or doubled when a clock changes.
// Never starts anything: plans take a time from here, and the run engine asks whether it is frozen.
import { PlanTimesService } from './planTimes.service.ts';
import type { RulesDeps } from './rules.service.ts';
import { windowsRoutes } from './windows.routes.ts';
import { WindowsService } from './windows.service.ts';

export type { RuleSpans } from './spans.policy.ts';
export type { WindowsService } from './windows.service.ts';

export function createWindowsModule(deps: RulesDeps) {
  const service = new WindowsService(deps);
  return {
    service,
    planTimes: new PlanTimesService(deps, service),
    routes: windowsRoutes(service),
  };
}
