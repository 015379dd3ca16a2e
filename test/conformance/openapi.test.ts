import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Problem } from '#contract/errors.ts';
import type { MaintenancePolicy } from '#contract/plans.ts';
import type { RouteSpec } from '#contract/route.ts';
import { routes } from '#contract/routes.ts';
import { monthly, ReleaseDesk } from '../harness/release-desk.ts';
import { trySchema, type Exchange } from '../harness/schemathesis.ts';

/** Some guesses at every operation first, then the boundaries of as many as the time allows; a token lives five minutes. */
const rounds = [
  ['--phases', 'fuzzing', '--max-examples', '4'],
  ['--phases', 'coverage', '--max-time', '60'],
];

let desk: ReleaseDesk;
let baseUrl: string;
let exchanges: readonly Exchange[];
let outputs: readonly string[];

beforeAll(async () => {
  desk = await ReleaseDesk.open({
    everything: ['tenant_admin', 'operator', 'approver', 'auditor'],
    alice: ['approver'],
  });
  await desk.query('update people set platform_admin = true where id = $1', [desk.id('everything')]);
  await desk.enrolKey('alice');
  await desk.publish('everything');
  const { id: policyId } = await desk.must<MaintenancePolicy>('everything', 'createMaintenancePolicy', {
    body: monthly,
  });
  // The first token makes the tenant's certificate authority, which takes seconds.
  await desk.must('everything', 'createEnrolmentToken', {
    body: { siteId: desk.siteId, expiresInMinutes: 5 },
  });
  const hostId = await desk.host('web-1');
  const { plan } = await desk.plan('everything', desk.request(policyId, [hostId]));
  const { body: release } = await desk.draft('everything', plan.id);
  baseUrl = await desk.server.app.listen({ host: '127.0.0.1', port: 0 });
  const tried = [];
  for (const options of rounds) {
    const { authorization } = await desk.server.bearer('everything', 3);
    tried.push(
      await trySchema({
        baseUrl,
        authorization,
        parameters: {
          ...{ tenantId: desk.tenantId, siteId: desk.siteId, hostId, policyId },
          ...{ planId: plan.id, releaseId: release.release.id, personId: desk.id('alice') },
        },
        // Without the policy the planner would have nothing to say.
        excluded: ['removeMaintenancePolicy'],
        options,
        seed: 20_261_121,
      }),
    );
  }
  exchanges = tried.flatMap((round) => round.exchanges);
  outputs = tried.map(({ output }) => output);
}, 600_000);

afterAll(() => desk.close());

describe('the API under every input that schemathesis can think of', () => {
  it('never fails on our side', () => {
    const failures = exchanges.filter(({ status }) => status >= 500);
    expect(failures.map(({ method, uri, status, body }) => `${status} ${method} ${uri} ${body}`)).toEqual([]);
    // Answers that never came, or of a media type that the document does not name.
    for (const output of outputs) {
      expect(output).toMatch(/\d+ generated, \d+ passed/);
      expect(output).not.toMatch(/FAILURES|ERRORS/);
    }
  });

  it('answers each refusal as problem details that say which request it was', () => {
    const refusals = exchanges.filter(({ status }) => status >= 400);
    expect(refusals.length).toBeGreaterThan(100);
    const wrong = refusals.filter(({ contentType, body, status }) => {
      if (!contentType.startsWith('application/problem+json')) return true;
      const problem = JSON.parse(body) as Partial<Problem>;
      return problem.status !== status || problem.code === undefined || problem.requestId === undefined;
    });
    expect(wrong).toEqual([]);
  });

  it('was tried at every operation, and let good input in', () => {
    const reached = (route: RouteSpec): boolean => {
      const pattern = new RegExp(`^${route.path.replaceAll('.', '\\.').replace(/:\w+|\*/g, '.+')}$`);
      return exchanges.some(({ method, uri }) => method === route.method && pattern.test(uri));
    };
    const untried = Object.entries(routes as Record<string, RouteSpec>).filter(
      ([, route]) => !reached(route),
    );
    expect(untried.map(([name]) => name)).toEqual(['removeMaintenancePolicy']);
    const good = new Set(
      exchanges.filter(({ status }) => status < 300).map(({ method, uri }) => `${method} ${uri}`),
    );
    expect(good.size).toBeGreaterThan(20);
  });
});
