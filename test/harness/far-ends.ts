import 'reflect-metadata';
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as x509 from '@peculiar/x509';
import type { AgentFrame, ServerFrame } from '#contract/agent-link.ts';
import type { VisitReply, VisitRequest } from '#contract/visit.ts';
import { isServed, readToEnd, VisitLink } from '../../agent/src/link/visitLink.ts';
import {
  createServerAuthority,
  createTenantAuthority,
  issueAgentCertificate,
  issueServerCertificate,
  readSigningRequest,
} from '../../server/src/features/agents/authorities.ts';
import { exportPrivateKey, importPrivateKey, rsa4096, toPem } from '../../server/src/features/agents/x509.ts';
import { createAgentLink } from '../../server/src/hosts/agent-link/agentLink.ts';
import { createAnsibleHosts } from '../../server/src/hosts/ansible/ansibleHosts.ts';
import { VisitFailed } from '../../server/src/hosts/ansible/runner.ts';
import type { AgentIdentity, HostsPort } from '../../server/src/hosts/port.ts';
import { systemClock } from '../../server/src/platform/clock.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { createLogger } from '../../server/src/platform/log.ts';
import { createCertificateRequest } from '../../agent/src/enrol/certificateRequest.ts';
import { hostKeys, LinkClient } from './link-client.ts';

/** One host at the other end of a way of reaching hosts. */
export interface FarEnd {
  readonly port: HostsPort;
  readonly identity: AgentIdentity;
  /** The host is there and says hello, again and again if it is sent away. */
  readonly comeIn: () => Promise<void>;
  readonly goAway: () => Promise<void>;
  readonly say: (frame: AgentFrame) => void;
  /** Everything that the host was told, in order. */
  readonly heard: readonly ServerFrame[];
  readonly stop: () => Promise<void>;
}

const log = createLogger({ level: 'silent', role: 'test' });
const newIdentity = (): AgentIdentity => ({
  ...{ tenantId: newId(), agentId: newId(), hostId: newId() },
  generation: 1,
});

export const hello: AgentFrame = {
  ...{
    type: 'hello',
    agentVersion: '0.1.0',
    bootId: 'boot',
    bootedAt: '2026-11-21T20:00:00.000Z',
    generation: 1,
  },
  ...{ policyEpoch: 1, lockSerial: 0, treeSize: 0, lastResultSeq: 0, openCommands: [] },
};

/** A host whose agent holds a connection, over real mutual TLS. */
export async function agentEnd(): Promise<FarEnd> {
  const identity = newIdentity();
  const nowMs = Date.now();
  const tenant = await createTenantAuthority(identity.tenantId, nowMs);
  const authority = await createServerAuthority(nowMs);
  const leaf = await issueServerCertificate(authority, ['localhost', '127.0.0.1'], nowMs);
  const caPem = authority.certificate.toString('pem');
  const issuing = {
    certificate: new x509.X509Certificate(tenant.issuingDer),
    privateKey: await importPrivateKey(tenant.issuingKeyPem, rsa4096),
  };
  const publicKey = await readSigningRequest(createCertificateRequest('host', hostKeys()));
  const { chainPem } = await issueAgentCertificate(issuing, { ...identity, publicKey }, nowMs);
  const keyPem = await exportPrivateKey(leaf.privateKey);
  const port = createAgentLink({
    ...{ host: '127.0.0.1', port: 0, clock: systemClock, log, heartbeatS: 10 },
    tls: () =>
      Promise.resolve({
        keyPem,
        chainPem: `${leaf.certificate.toString('pem')}\n${caPem}`,
        clientRootsPem: [toPem(tenant.rootDer)],
      }),
  });
  const heard: ServerFrame[] = [];
  let client: LinkClient | null = null;
  const comeIn = async (): Promise<void> => {
    const mine = new LinkClient(`wss://localhost:${port.port()}/link`, { ca: caPem, cert: chainPem });
    client = mine;
    mine.socket.on('message', (data) => heard.push(JSON.parse((data as Buffer).toString()) as ServerFrame));
    // As the product's agent does: whoever is sent away comes again.
    mine.socket.on('close', () =>
      setTimeout(() => client === mine && void comeIn().catch(() => undefined), 200),
    );
    await mine.opened();
    mine.send(hello);
  };
  const goAway = (): Promise<void> => {
    const mine = client;
    client = null;
    mine?.end();
    return Promise.resolve();
  };
  return {
    ...{ port, identity, comeIn, goAway, heard },
    say: (frame) => client?.send(frame),
    stop: async () => {
      await goAway();
      await port.stop();
    },
  };
}

async function visitOver(socketPath: string, request: VisitRequest): Promise<VisitReply> {
  const socket = createConnection(socketPath);
  const said = readToEnd(socket);
  socket.end(JSON.stringify(request));
  return JSON.parse(await said) as VisitReply;
}

/** A host that is visited: the engine's own end of the conversation; SSH and Ansible themselves are the lab's matter. */
export async function visitedEnd(): Promise<FarEnd> {
  const identity = newIdentity();
  const folder = await mkdtemp(path.join(tmpdir(), 'atlas-far-end-'));
  const socketPath = path.join(folder, 'visit.sock');
  const heard: ServerFrame[] = [];
  let isThere = false;
  const link = new VisitLink(
    {
      credentials: () => ({ url: '', caPem: '', chainPem: '', keyPem: '' }),
      hello: () => hello,
      heartbeat: () => ({
        ...{ type: 'heartbeat', at: new Date().toISOString(), bootId: 'boot' },
        ...{ cosignature: null, guardArmedUntil: null },
      }),
      isBusy: () => Promise.resolve(true),
      onFrame: (frame) => heard.push(frame),
      onClosed: () => undefined,
      onBadFrame: () => undefined,
    },
    socketPath,
  );
  link.start();
  while (!(await isServed(socketPath))) await new Promise((resolve) => setTimeout(resolve, 10));
  const visit = (_access: unknown, request: VisitRequest): Promise<VisitReply> =>
    isThere
      ? visitOver(socketPath, request)
      : Promise.reject(new VisitFailed({ fault: 'unreachable', detail: 'No route to host' }));
  const port = createAnsibleHosts({
    runner: { visit, install: () => Promise.resolve() },
    log,
    listHosts: () => Promise.resolve([{ accessId: newId(), identity }]),
    openAccess: () =>
      Promise.resolve({
        target: { address: '192.0.2.1', port: 22, user: 'root', hostKeyType: 'ssh-ed25519', hostKey: '' },
        privateKey: '',
      }),
    contacted: () => Promise.resolve(),
    rhythm: { waitMs: 200, idleMs: 500, againMs: 100 },
  });
  return {
    ...{ port, identity, heard },
    comeIn: () => {
      isThere = true;
      return Promise.resolve();
    },
    goAway: () => {
      isThere = false;
      return Promise.resolve();
    },
    say: (frame) => link.send(frame),
    stop: async () => {
      await port.stop();
      link.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
