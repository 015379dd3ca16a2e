// Owns notices: who is told of maintenance by mail, what was sent to whom, and what was not.
// Promises that a released run is announced once, that every mail is recorded as sent or failed, and that nobody is said to be told who was not.
// Never decides when something runs, and never says what nobody has released.
import type { NoticesDeps } from './notices.deps.ts';
import { NoticesRelay } from './notices.relay.ts';
import { noticesRoutes } from './notices.routes.ts';
import { NoticesService } from './notices.service.ts';

export function createNoticesModule(deps: NoticesDeps) {
  const service = new NoticesService(deps);
  return { service, routes: noticesRoutes(service), relay: new NoticesRelay(deps) };
}
