// Owns decisions not to install something for a time: why, what is done instead, who answers for it and until when.
// Promises that none has an effect without a second person, or one moment past its end.
// Never changes a plan that was made, and never forgets who decided what.
import { exceptionsRoutes } from './exceptions.routes.ts';
import { ExceptionsService, type ExceptionsDeps } from './exceptions.service.ts';

export function createExceptionsModule(deps: ExceptionsDeps) {
  const service = new ExceptionsService(deps);
  return { service, routes: exceptionsRoutes(service) };
}
