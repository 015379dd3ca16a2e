import 'reflect-metadata';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EnrolResponse } from '#contract/agent-link.ts';
import { AgentLink } from '../../agent/src/link/agentLink.ts';
import { createAgentLink, type LinkTls } from '../../server/src/hosts/agent-link/agentLink.ts';
import { systemClock } from '../../server/src/platform/clock.ts';
import { createLogger } from '../../server/src/platform/log.ts';
import { admin, publishFirstPolicy, startHostsWorld, type HostsWorld } from '../harness/hosts-world.ts';
import { enrolled, hostKeys } from '../harness/link-client.ts';

let world: HostsWorld;
let identity: EnrolResponse;
const servers: ReturnType<typeof createAgentLink>[] = [];
const links: AgentLink[] = [];

/** A listener as another process of the server, or the same one after a restart, would open it. */
async function listenAt(
  port: number,
  ticketKeys: Buffer | undefined,
): Promise<ReturnType<typeof createAgentLink>> {
  const tls: LinkTls = {
    ...(await world.agents.authorities.serverTls()),
    clientRootsPem: await world.agents.authorities.clientRootsPem(),
    ...(ticketKeys === undefined ? {} : { ticketKeys }),
  };
  const link = createAgentLink({
    ...{ host: '127.0.0.1', port, clock: systemClock, heartbeatS: 10 },
    log: createLogger({ level: 'silent', role: 'test' }),
    tls: () => Promise.resolve(tls),
  });
  servers.push(link);
  await link.start({
    authenticate: (peer) => world.agents.service.authenticate(peer),
    connected: () =>
      Promise.resolve([
        { type: 'welcome', serverTime: new Date().toISOString(), heartbeatS: 10, resultsHeld: 0 },
      ]),
    disconnected: () => Promise.resolve(),
    cloned: () => Promise.resolve(),
    frame: () => Promise.resolve(),
  });
  return link;
}

const listen = (ticketKeys: Buffer) => listenAt(0, ticketKeys);

/** The agent's own link; `at` says where it connects next. */
function agentTo(at: { port: number; chainPem: string }): AgentLink {
  const keyPem = hostKeys().privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  const now = (): string => new Date().toISOString();
  const link = new AgentLink(
    {
      credentials: () => ({
        url: `wss://localhost:${at.port}/link`,
        caPem: identity.caPem,
        chainPem: at.chainPem,
        keyPem,
      }),
      hello: () => ({
        ...{ type: 'hello', agentVersion: '1.0.0', bootId: 'boot', bootedAt: now(), generation: 1 },
        ...{ policyEpoch: 1, lockSerial: 0, treeSize: 0, lastResultSeq: 0, openCommands: [] },
      }),
      heartbeat: () => ({
        ...{ type: 'heartbeat', at: now(), bootId: 'boot', cosignature: null, guardArmedUntil: null },
      }),
      isBusy: () => Promise.resolve(false),
      onFrame: () => undefined,
      onClosed: () => undefined,
      onBadFrame: () => undefined,
    },
    { firstDelayMs: 10, capDelayMs: 50 },
  );
  links.push(link);
  link.start();
  return link;
}

const up = (link: AgentLink) => expect.poll(() => link.isUp, { timeout: 20_000 }).toBe(true);

async function comeAgain(link: AgentLink): Promise<void> {
  link.reconnect();
  await expect.poll(() => link.isUp).toBe(false);
  await up(link);
}

beforeAll(async () => {
  world = await startHostsWorld();
  const tenant = await world.createTenant();
  await publishFirstPolicy(world, tenant.tenantId);
  const wish = { siteId: tenant.siteId, expiresInMinutes: 60 };
  const { token } = await world.agents.enrolment.createToken(tenant.tenantId, admin, wish);
  identity = await enrolled(token, { hostname: 'resumes.example.org' });
}, 120_000);

afterAll(async () => {
  for (const link of links) link.stop();
  for (const server of servers) await server.stop();
  await world.stop();
});

describe('an agent that comes back', () => {
  it('resumes its TLS session on the same server, after its certificates were read again, and is recognised each time', async () => {
    const server = await listen(await world.agents.authorities.ticketKeys());
    const link = agentTo({ port: server.port(), chainPem: identity.chainPem });
    await up(link);
    expect(server.handshakes()).toEqual({ full: 1, resumed: 0 });
    await comeAgain(link);
    expect(server.handshakes()).toEqual({ full: 1, resumed: 1 });
    await server.reloadTls();
    await comeAgain(link);
    expect(server.handshakes()).toEqual({ full: 1, resumed: 2 });
    link.stop();
  });

  it('resumes it on a server that shares the ticket keys, as another node or after a restart, and on no other', async () => {
    const keys = await world.agents.authorities.ticketKeys();
    const first = await listen(keys);
    // One address for all of them: the agent keeps a session for the place where it was made.
    const at = { port: first.port(), chainPem: identity.chainPem };
    const link = agentTo(at);
    await up(link);
    await first.stop();
    const again = await listenAt(at.port, keys);
    await up(link);
    expect(again.handshakes()).toEqual({ full: 0, resumed: 1 });
    await again.stop();
    const stranger = await listenAt(at.port, undefined);
    await up(link);
    expect(stranger.handshakes()).toEqual({ full: 1, resumed: 0 });
    link.stop();
  });

  it('makes a whole handshake with a new certificate: the session speaks of the old one', async () => {
    const server = await listen(await world.agents.authorities.ticketKeys());
    const at = { port: server.port(), chainPem: identity.chainPem };
    const link = agentTo(at);
    await up(link);
    at.chainPem = `${identity.chainPem}\n`;
    await comeAgain(link);
    expect(server.handshakes()).toEqual({ full: 2, resumed: 0 });
    link.stop();
  });
});
