import { createHash, randomBytes } from 'node:crypto';
import canonicalize from 'canonicalize';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EnrolResponse, ServerFrame } from '#contract/agent-link.ts';
import type { AgentBuild, BuildAsk, BuildRollout, RolloutRequest } from '#contract/builds.ts';
import { payloadTypes } from '#contract/dsse.ts';
import type { PolicyDocument } from '#contract/trust.ts';
import { openBuild } from '../../agent/src/selfupdate/build.check.ts';
import type { TenantActor } from '../../server/src/platform/http/caller.ts';
import {
  admin,
  newRootKey,
  publishFirstPolicy,
  signRoots,
  startHostsWorld,
  type HostsWorld,
} from '../harness/hosts-world.ts';
import { enrolled, LinkClient } from '../harness/link-client.ts';

type BuildFrame = Extract<ServerFrame, { type: 'build' }>;

let world: HostsWorld;
let tenant: { tenantId: string; siteId: string };
let policy: PolicyDocument;
let made = 0;
const roots = [newRootKey(), newRootKey(), newRootKey()];
const clients: LinkClient[] = [];
const waiting: EnrolResponse[] = [];
const page = { before: null, limit: 50 };

const actor = (): TenantActor => ({ ...admin, tenantId: tenant.tenantId });

beforeAll(async () => {
  world = await startHostsWorld({ heartbeatS: 600 });
  tenant = await world.createTenant();
  await publishFirstPolicy(world, tenant.tenantId, { keys: roots, threshold: 2 });
  const current = await world.db.inTenant(tenant.tenantId, (tx) => world.trust.service.current(tx));
  if (current === null) throw new Error('no policy');
  policy = current.document;
  for (let n = 1; n <= 7; n += 1) {
    const wish = { siteId: tenant.siteId, expiresInMinutes: 60 };
    const { token } = await world.agents.enrolment.createToken(tenant.tenantId, admin, wish);
    waiting.push(await enrolled(token, { hostname: `srv-${n}.example.org` }));
  }
}, 120_000);

afterAll(async () => {
  for (const client of clients) client.end();
  await world.stop();
});

function drafted(bend: Record<string, unknown> = {}, keys = roots.slice(0, 2)) {
  made += 1;
  const bytes = randomBytes(5000);
  const document = {
    ...{ v: 1, tenant: tenant.tenantId, version: `0.2.${made}`, platform: 'linux-x64', bytes: bytes.length },
    sha256: createHash('sha256').update(bytes).digest('hex'),
    issuedAt: new Date().toISOString(),
    expiresAt: new Date(Date.now() + 86_400_000).toISOString(),
    ...bend,
  };
  const payload = Buffer.from(canonicalize(document) ?? '').toString('base64url');
  return {
    envelope: signRoots({ payloadType: payloadTypes.agentBuild, payload }, keys),
    artefact: bytes.toString('base64url'),
  };
}

const importBuild = (given = drafted()): Promise<AgentBuild> =>
  world.builds.service.importBuild(actor(), given);
const start = (build: AgentBuild, bend: Partial<RolloutRequest> = {}): Promise<BuildRollout> =>
  world.builds.service.start(actor(), {
    ...{ buildId: build.id, firstHosts: 1, soakMinutes: 10, reason: 'Correctif de l’agent' },
    ...bend,
  });
const asksOf = async (rollout: BuildRollout): Promise<Map<string, BuildAsk>> => {
  const { items } = await world.builds.service.listAsks(tenant.tenantId, page, { rolloutId: rollout.id });
  return new Map(items.map((one) => [one.hostId, one]));
};
const rolloutNow = async ({ id }: BuildRollout): Promise<BuildRollout> => {
  const { items } = await world.builds.service.listRollouts(tenant.tenantId, page);
  const found = items.find((one) => one.id === id);
  if (found === undefined) throw new Error('no such rollout');
  return found;
};

interface Host {
  readonly identity: EnrolResponse;
  client: LinkClient;
}

async function open(identity: EnrolResponse, agentVersion: string): Promise<LinkClient> {
  const client = new LinkClient(identity.agentsUrl, { ca: identity.caPem, cert: identity.chainPem });
  clients.push(client);
  await client.opened();
  client.hello({ agentVersion, bootId: identity.hostId });
  await client.frame('welcome');
  return client;
}

/** The next of the enrolled hosts connects; enrolled before the clock is set ahead, for certificates go by it. */
async function host(agentVersion = '0.1.0'): Promise<Host> {
  const identity = waiting.shift();
  if (identity === undefined) throw new Error('enrol more hosts');
  return { identity, client: await open(identity, agentVersion) };
}

/** The agent says what came of what it was asked. */
async function say(of: Host, asked: BuildFrame, bend: Record<string, unknown>): Promise<void> {
  const said = { askId: asked.askId, version: null, running: '0.1.0', code: 'ok', detail: '' };
  of.client.send({ type: 'buildOutcome', ...said, ...bend } as Parameters<LinkClient['send']>[0]);
  const isNoted = bend['outcome'] !== 'postponed';
  await expect
    .poll(
      () =>
        of.client.frames.some((frame) => frame.type === 'buildNoted' && frame.askId === asked.askId) ||
        !isNoted,
    )
    .toBe(true);
}

/** It becomes the version: another program connects, says so, and is heard. */
async function become(of: Host, asked: BuildFrame, version: string): Promise<void> {
  of.client.end();
  of.client = await open(of.identity, version);
  await say(of, asked, { outcome: 'updated', version, running: version });
}

describe('a build that is brought in', () => {
  it('is kept when enough root keys have signed it, once', async () => {
    const given = drafted();
    const build = await importBuild(given);
    expect(build).toMatchObject({ bytes: 5000, importedBy: admin.id });
    await expect(importBuild(given)).rejects.toMatchObject({ code: 'already_exists' });
    expect((await world.builds.service.listBuilds(tenant.tenantId, page)).items).toContainEqual(build);
    expect(await world.audited(tenant.tenantId)).toContain('agent_build.imported');
  });

  it('is refused when it is not what the root keys have signed for this tenant and this day', async () => {
    const other = await world.createTenant();
    const refused = { code: 'signature_refused' };
    await expect(importBuild(drafted({}, roots.slice(0, 1)))).rejects.toMatchObject(refused);
    await expect(importBuild(drafted({}, [newRootKey(), newRootKey()]))).rejects.toMatchObject(refused);
    await expect(importBuild(drafted({ tenant: other.tenantId }))).rejects.toMatchObject(refused);
    await expect(importBuild(drafted({ expiresAt: new Date().toISOString() }))).rejects.toMatchObject(
      refused,
    );
    await expect(importBuild({ ...drafted(), artefact: drafted().artefact })).rejects.toMatchObject(refused);
    const asPolicy = drafted();
    const envelope = { ...asPolicy.envelope, payloadType: payloadTypes.policy };
    await expect(importBuild({ ...asPolicy, envelope })).rejects.toMatchObject(refused);
  });
});

describe('a rollout', () => {
  it('asks the first host with what its agent accepts, waits until it was well, then asks the others', async () => {
    const [first, second, newer] = [await host(), await host(), await host('9.0.0')];
    const build = await importBuild();
    const rollout = await start(build);
    expect(rollout).toMatchObject({ state: 'running', counts: { waiting: 2 } });
    expect((await asksOf(rollout)).has(newer.identity.hostId)).toBe(false);
    await expect(start(build)).rejects.toMatchObject({ code: 'transition_refused' });

    await world.builds.rollout.advanceAll();
    const asked = await first.client.frame('build');
    const view = { policy, nowMs: Date.now(), timeFloorMs: 0, running: '0.1.0', isLocked: false };
    expect(openBuild(asked, view)).toMatchObject({ build: { version: build.version } });
    expect(second.client.frames.some(({ type }) => type === 'build')).toBe(false);

    // Nobody speaks for another host, and an agent that claims what it does not run is not believed.
    second.client.send({
      ...{ type: 'buildOutcome', askId: asked.askId, version: build.version, running: build.version },
      ...{ outcome: 'updated', code: 'ok', detail: '' },
    });
    await second.client.frame('buildNoted');
    expect((await asksOf(rollout)).get(first.identity.hostId)).toMatchObject({ state: 'asked' });

    await become(first, asked, build.version);
    expect((await asksOf(rollout)).get(first.identity.hostId)).toMatchObject({
      ...{ state: 'updated', fromVersion: '0.1.0', runningVersion: build.version, ring: 1 },
    });
    await world.builds.rollout.advanceAll();
    expect((await asksOf(rollout)).get(second.identity.hostId)).toMatchObject({ state: 'waiting' });

    world.clock.ahead(11 * 60_000);
    await world.builds.rollout.advanceAll();
    await become(second, await second.client.frame('build'), build.version);
    await world.builds.rollout.advanceAll();
    expect(await rolloutNow(rollout)).toMatchObject({ state: 'done', counts: { updated: 2 } });
    const actions = await world.audited(tenant.tenantId);
    expect(actions.filter((action) => action === 'agent.updated')).toHaveLength(2);
    expect(actions).toEqual(expect.arrayContaining(['build_rollout.started', 'build_rollout.ended']));
    for (const one of [first, second, newer]) one.client.end();
  });

  it('asks a busy host again, nobody in a run, and halts when a host goes back; late truth is kept', async () => {
    const [first, second, third] = [await host(), await host(), await host()];
    const ids = [first, second, third].map(({ identity }) => identity.hostId);
    const build = await importBuild();
    const rollout = await start(build, { hostIds: ids, firstHosts: 2 });
    const claim = { run: first.identity.hostId, host: second.identity.hostId };
    await world.db.inTenant(tenant.tenantId, (tx) =>
      sql`insert into host_claims (host_id, run_id) values (${claim.host}, ${claim.run})`.execute(tx),
    );
    await world.builds.rollout.advanceAll();
    const asked = await first.client.frame('build');
    expect(second.client.frames.some(({ type }) => type === 'build')).toBe(false);
    await say(first, asked, { outcome: 'postponed', code: 'busy', detail: 'orders are open' });
    await expect
      .poll(async () => (await asksOf(rollout)).get(first.identity.hostId))
      .toMatchObject({ state: 'waiting', code: 'busy', detail: 'orders are open' });

    world.clock.ahead(13 * 60_000);
    await world.db.inTenant(tenant.tenantId, (tx) => sql`delete from host_claims`.execute(tx));
    await world.builds.rollout.advanceAll();
    const again = await first.client.frame('build', 2);
    expect(again.askId).toBe(asked.askId);
    const other = await second.client.frame('build');
    const left = { version: build.version, code: 'not_proven', detail: 'started 3 times' };
    await say(first, again, { ...left, outcome: 'reverted' });
    await world.builds.rollout.advanceAll();
    const halted = await rolloutNow(rollout);
    expect(halted).toMatchObject({ state: 'halted', counts: { reverted: 1, asked: 1, dropped: 1 } });
    expect(halted.why).toContain('started 3 times');
    expect(third.client.frames.some(({ type }) => type === 'build')).toBe(false);

    await become(second, other, build.version);
    expect((await rolloutNow(rollout)).counts).toMatchObject({ updated: 1, reverted: 1, dropped: 1 });
    expect(await world.audited(tenant.tenantId)).toContain('agent.update_reverted');
    // Said for good: the same agent cannot make it unsaid.
    await say(first, again, { outcome: 'updated', version: build.version, running: build.version });
    expect((await rolloutNow(rollout)).counts).toMatchObject({ updated: 1, reverted: 1 });
  });

  it('is stopped by a person, once, and asks nobody afterwards', async () => {
    const one = await host();
    const rollout = await start(await importBuild(), { hostIds: [one.identity.hostId] });
    const stopped = await world.builds.service.stop(actor(), rollout.id, 'Fausse alerte');
    expect(stopped).toMatchObject({ state: 'stopped', why: 'Fausse alerte', counts: { dropped: 1 } });
    await expect(world.builds.service.stop(actor(), rollout.id, 'x')).rejects.toMatchObject({
      code: 'transition_refused',
    });
    await world.builds.rollout.advanceAll();
    expect(one.client.frames.some(({ type }) => type === 'build')).toBe(false);
  });

  it('is not started for a host without an agent of its own, nor with an expired document', async () => {
    const build = await importBuild();
    await expect(start(build, { hostIds: [tenant.siteId] })).rejects.toMatchObject({
      code: 'invalid_request',
    });
    world.clock.ahead(2 * 86_400_000);
    await expect(start(build)).rejects.toMatchObject({ code: 'transition_refused' });
    world.clock.ahead(13 * 60_000);
  });
});
