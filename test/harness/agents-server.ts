import 'reflect-metadata';
import {
  createHash,
  randomBytes,
  randomUUID,
  X509Certificate as NodeCertificate,
  webcrypto,
} from 'node:crypto';
import { createServer as createHttpsServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import * as x509 from '@peculiar/x509';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import { linkProtocol } from '#contract/agent-link.ts';
import type { AgentFrame, EnrolRequest, EnrolResponse, ServerFrame } from '#contract/agent-link.ts';
import { payloadTypes } from '#contract/dsse.ts';
import type { Envelope } from '#contract/dsse.ts';
import type { PolicyDocument } from '#contract/trust.ts';
import { jcs } from './release-world.ts';
import type { World } from './release-world.ts';
import { readResults } from './signed-results.ts';
import { signEnvelope } from './software-key.ts';

const ec = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const dayMs = 86_400_000;

interface Authority {
  readonly certificate: x509.X509Certificate;
  readonly keys: webcrypto.CryptoKeyPair;
}

async function createAuthority(name: string): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(ec, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys,
    signingAlgorithm: ec,
    notAfter: new Date(Date.now() + 10 * dayMs),
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  return { certificate, keys };
}

async function issue(
  authority: Authority,
  subject: {
    name: string;
    publicKey: x509.PublicKeyType;
    addresses?: string[];
    notBefore?: Date;
    notAfter?: Date;
  },
): Promise<string> {
  const {
    notBefore = new Date(Date.now() - 1000),
    notAfter = new Date(Date.now() + dayMs),
    addresses,
  } = subject;
  const certificate = await x509.X509CertificateGenerator.create({
    subject: `CN=${subject.name}`,
    issuer: authority.certificate.subject,
    publicKey: subject.publicKey,
    signingKey: authority.keys.privateKey,
    signingAlgorithm: ec,
    notBefore,
    notAfter,
    extensions: addresses
      ? [new x509.SubjectAlternativeNameExtension(addresses.map((value) => ({ type: 'ip' as const, value })))]
      : [],
  });
  return certificate.toString('pem');
}

/** A stand-in for the agents' listener: speaks the contract with a throw-away authority. */
export class AgentsServer {
  readonly tenant: Authority;
  readonly world: World;
  readonly secret = randomBytes(24).toString('base64url');
  readonly frames: AgentFrame[] = [];
  readonly policies: Envelope[];
  /** Life of the certificates it issues; tests shorten it. */
  certificateFromMs = -1000;
  certificateForMs = dayMs;
  resultsHeld = 0;
  resultPublicKey = '';
  isHoldingResults = true;
  #enrolment: Server;
  #link: Server | null = null;
  #socket: WebSocket | null = null;
  #tls: { key: string; cert: string };
  #address: string;
  #linkPort = 0;

  private constructor(parts: {
    world: World;
    tenant: Authority;
    tls: { key: string; cert: string };
    address: string;
  }) {
    this.world = parts.world;
    this.tenant = parts.tenant;
    this.#tls = parts.tls;
    this.#address = parts.address;
    const first: PolicyDocument = {
      ...parts.world.policy,
      epoch: 1,
    };
    const chain = [first, { ...first, epoch: 2 }, parts.world.policy];
    this.policies = chain.map((policy) => signEnvelope(payloadTypes.policy, jcs(policy), [parts.world.root]));
    this.#enrolment = createHttpsServer({ ...this.#tls, minVersion: 'TLSv1.3' }, (request, answer) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        void this.#enrol(Buffer.concat(chunks)).then(({ status, body }) => {
          answer.writeHead(status, { 'content-type': 'application/json' });
          answer.end(JSON.stringify(body));
        });
      });
    });
  }

  /** Starts both listeners on free ports of an address. */
  static async start(world: World, address = '127.0.0.1'): Promise<AgentsServer> {
    const tenant = await createAuthority('throw-away authority');
    const keys = await webcrypto.subtle.generateKey(ec, true, ['sign', 'verify']);
    const leaf = await issue(tenant, { name: 'server', publicKey: keys.publicKey, addresses: [address] });
    const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
    const lines = pkcs8.toString('base64').match(/.{1,64}/g) ?? [];
    const label = 'PRIVATE KEY';
    const key = `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
    const cert = `${leaf}\n${tenant.certificate.toString('pem')}`;
    const server = new AgentsServer({ world, tenant, tls: { key, cert }, address });
    await new Promise<void>((resolve) => server.#enrolment.listen(0, address, resolve));
    await server.openLink();
    return server;
  }

  /** The line an administrator hands out. */
  token(bend: Record<string, string> = {}): string {
    const { port } = this.#enrolment.address() as AddressInfo;
    const value = {
      url: `https://${this.#address}:${port}/enrol`,
      secret: this.secret,
      caSha256: createHash('sha256').update(Buffer.from(this.tenant.certificate.rawData)).digest('hex'),
      policySha256: createHash('sha256')
        .update(Buffer.from(this.policies[0]?.payload ?? '', 'base64url'))
        .digest('hex'),
      ...bend,
    };
    return `atlas-enrol-v1.${Buffer.from(JSON.stringify(value)).toString('base64url')}`;
  }

  /** Issues a certificate for the agent over the key of a request. */
  async certify(csrPem: string): Promise<string> {
    const request = new x509.Pkcs10CertificateRequest(csrPem);
    if (!(await request.verify())) throw new Error('the request is not signed by its own key');
    const leaf = await issue(this.tenant, {
      name: this.world.agentId,
      publicKey: request.publicKey,
      notBefore: new Date(Date.now() + this.certificateFromMs),
      notAfter: new Date(Date.now() + this.certificateForMs),
    });
    return `${leaf}\n${this.tenant.certificate.toString('pem')}\n`;
  }

  async #enrol(bytes: Buffer): Promise<{ status: number; body: unknown }> {
    const request = JSON.parse(bytes.toString()) as EnrolRequest;
    if (request.secret !== this.secret) return { status: 409, body: { code: 'enrolment_token_unusable' } };
    this.resultPublicKey = request.resultPublicKey;
    const body: EnrolResponse = {
      tenantId: this.world.tenantId,
      hostId: this.world.hostId,
      agentId: this.world.agentId,
      agentsUrl: `wss://${this.#address}:${this.#linkPort}/link`,
      chainPem: await this.certify(request.csrPem),
      caPem: this.tenant.certificate.toString('pem'),
      policies: this.policies,
    };
    return { status: 201, body };
  }

  /** Opens the link's listener again after `closeLink`, on the same port. */
  async openLink(): Promise<void> {
    const ca = this.tenant.certificate.toString('pem');
    const tls = {
      ...this.#tls,
      ca,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3' as const,
    };
    const link = createHttpsServer(tls);
    const sockets = new WebSocketServer({ server: link, path: '/link', handleProtocols: () => linkProtocol });
    sockets.on('connection', (socket, request) => {
      const peer = (request.socket as TLSSocket).getPeerCertificate();
      if (!new NodeCertificate(peer.raw).subject.includes(this.world.agentId)) socket.terminate();
      this.#socket = socket;
      socket.on('message', (data) => this.#receive(JSON.parse((data as Buffer).toString()) as AgentFrame));
    });
    await new Promise<void>((resolve) => link.listen(this.#linkPort, this.#address, resolve));
    this.#linkPort = (link.address() as AddressInfo).port;
    this.#link = link;
  }

  /** Goes away: no listener, every connection cut. */
  async closeLink(): Promise<void> {
    this.#socket?.terminate();
    const link = this.#link;
    link?.closeAllConnections();
    await new Promise<void>((resolve) => (link ? link.close(() => resolve()) : resolve()));
  }

  send(frame: ServerFrame): void {
    this.#socket?.send(JSON.stringify(frame));
  }

  #receive(frame: AgentFrame): void {
    this.frames.push(frame);
    const at = new Date().toISOString();
    if (frame.type === 'hello')
      this.send({ type: 'welcome', serverTime: at, heartbeatS: 1, resultsHeld: this.resultsHeld });
    if (frame.type === 'heartbeat') this.send({ type: 'lock', at, envelope: null });
    if (frame.type !== 'results' || !this.isHoldingResults) return;
    for (const envelope of frame.envelopes) {
      for (const { seq } of readResults(envelope)) this.resultsHeld = Math.max(this.resultsHeld, seq);
    }
    this.send({ type: 'resultsHeld', upTo: this.resultsHeld });
  }

  /** Begins anew, as towards an agent never seen. */
  forget(): void {
    this.frames.length = 0;
    this.resultsHeld = 0;
    this.isHoldingResults = true;
  }

  /** Waits for a frame that fits, also among those that came before. */
  async waitFor<T extends AgentFrame['type']>(
    type: T,
    fits: (frame: Extract<AgentFrame, { type: T }>) => boolean = () => true,
    limitMs = 15_000,
  ): Promise<Extract<AgentFrame, { type: T }>> {
    const untilMs = Date.now() + limitMs;
    for (;;) {
      const found = this.frames.find(
        (frame): frame is Extract<AgentFrame, { type: T }> =>
          frame.type === type && fits(frame as Extract<AgentFrame, { type: T }>),
      );
      if (found) return found;
      if (Date.now() > untilMs) throw new Error(`no ${type} frame in ${limitMs} ms`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }

  async stop(): Promise<void> {
    await this.closeLink();
    this.#enrolment.closeAllConnections();
    await new Promise<void>((resolve) => this.#enrolment.close(() => resolve()));
  }
}

/** A command without a release. */
export function readCommand(verb: 'agent.noop' | 'inventory.scan' = 'agent.noop') {
  return {
    commandId: randomUUID(),
    verb,
    releaseId: null,
    runId: null,
    hostRunId: null,
    step: null,
    fence: 0,
  };
}
