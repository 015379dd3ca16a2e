import { createHash, generateKeyPairSync, randomBytes, randomUUID, type KeyObject } from 'node:crypto';
import { request } from 'node:https';
import { WebSocket } from 'ws';
import { linkProtocol, enrolTokenPrefix } from '#contract/agent-link.ts';
import type { AgentFrame, EnrolResponse, EnrolToken, ServerFrame } from '#contract/agent-link.ts';
import type { Inventory } from '#contract/inventory.ts';
import { createCertificateRequest } from '../../agent/src/enrol/certificateRequest.ts';

type KeyPair = { publicKey: KeyObject; privateKey: KeyObject };

let sharedKeys: KeyPair | undefined;
/** One RSA-4096 key for all test hosts: making one takes a second. */
export function hostKeys(): KeyPair {
  sharedKeys ??= generateKeyPairSync('rsa', { modulusLength: 4096 });
  return sharedKeys;
}

export function readToken(text: string): EnrolToken {
  return JSON.parse(Buffer.from(text.slice(enrolTokenPrefix.length), 'base64url').toString()) as EnrolToken;
}

/** Posts to the enrolment listener; `rejectUnauthorized` is off because pinning has a suite of its own. */
export function post(url: string, body: string, headers: Record<string, string> = {}) {
  return new Promise<{ status: number; body: Record<string, unknown> }>((resolve, reject) => {
    const call = request(
      url,
      {
        method: 'POST',
        rejectUnauthorized: false,
        agent: false,
        headers: { 'content-type': 'application/json', ...headers },
      },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () => {
          const parsed = JSON.parse(Buffer.concat(chunks).toString() || '{}') as Record<string, unknown>;
          resolve({ status: answer.statusCode ?? 0, body: parsed });
        });
      },
    );
    call.on('error', reject);
    call.end(body);
  });
}

export interface EnrolWish {
  readonly hostname?: string;
  readonly machineId?: string;
  readonly secret?: string;
  readonly csrPem?: string;
}

/** Enrols a host as its agent would. */
export function enrolHost(token: string, wish: EnrolWish = {}) {
  const { url, secret } = readToken(token);
  const resultKey = generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' });
  const body = {
    secret,
    csrPem: createCertificateRequest('host', hostKeys()),
    resultPublicKey: resultKey.toString('base64url'),
    hostname: 'srv-1.example.org',
    machineId: createHash('sha256').update(randomBytes(8)).digest('hex'),
    agentVersion: '0.1.0',
    ...wish,
  };
  return post(url, JSON.stringify(body));
}

/** The same, for a token that is good. */
export async function enrolled(token: string, wish: EnrolWish = {}): Promise<EnrolResponse> {
  const { status, body } = await enrolHost(token, wish);
  if (status !== 201) throw new Error(`enrolment refused: ${JSON.stringify(body)}`);
  return body as unknown as EnrolResponse;
}

/** One connection of a host, with everything that it has heard. */
export class LinkClient {
  readonly frames: ServerFrame[] = [];
  readonly socket: WebSocket;
  closed: { code: number; reason: string } | null = null;
  failure: string | null = null;
  readonly #watchers = new Set<() => void>();

  constructor(url: string, tls: { ca: string; cert: string; key?: KeyObject }) {
    const key = (tls.key ?? hostKeys().privateKey).export({ format: 'pem', type: 'pkcs8' });
    this.socket = new WebSocket(url, [linkProtocol], { ca: tls.ca, cert: tls.cert, key });
    this.socket.on('message', (data) => {
      this.frames.push(JSON.parse((data as Buffer).toString()) as ServerFrame);
      this.#wake();
    });
    this.socket.on('unexpected-response', (_call, answer) => {
      this.failure = `HTTP ${answer.statusCode}`;
      answer.resume();
      this.#wake();
    });
    this.socket.on('error', (error: NodeJS.ErrnoException) => {
      this.failure ??= error.code ?? error.message;
      this.#wake();
    });
    this.socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() };
      this.#wake();
    });
  }

  send(frame: AgentFrame): void {
    this.socket.send(JSON.stringify(frame));
  }

  hello(change: Partial<Extract<AgentFrame, { type: 'hello' }>> = {}): void {
    this.send({
      type: 'hello',
      agentVersion: '0.1.0',
      bootId: randomUUID(),
      bootedAt: new Date().toISOString(),
      generation: 1,
      policyEpoch: 1,
      lockSerial: 0,
      treeSize: 0,
      lastResultSeq: 0,
      openCommands: [],
      ...change,
    });
  }

  heartbeat(): void {
    const at = new Date().toISOString();
    this.send({ type: 'heartbeat', at, bootId: 'x', cosignature: null, guardArmedUntil: null });
  }

  /** Resolves with what `look` finds; rejects when it has not within five seconds. */
  until<T>(look: () => T | undefined | null | false, timeoutMs = 20_000): Promise<T> {
    return new Promise((resolve, reject) => {
      const state = (): string =>
        JSON.stringify({ frames: this.frames, closed: this.closed, failure: this.failure });
      const timer = setTimeout(() => {
        this.#watchers.delete(watcher);
        reject(new Error(`nothing came: ${state()}`));
      }, timeoutMs);
      const watcher = (): void => {
        const found = look();
        if (found === undefined || found === null || found === false) return;
        clearTimeout(timer);
        this.#watchers.delete(watcher);
        resolve(found);
      };
      this.#watchers.add(watcher);
      watcher();
    });
  }

  opened(): Promise<boolean> {
    return new Promise((resolve, reject) => {
      if (this.socket.readyState === WebSocket.OPEN) resolve(true);
      this.socket.once('open', () => resolve(true));
      this.socket.once('error', reject);
    });
  }

  frame<T extends ServerFrame['type']>(type: T, nth = 1): Promise<Extract<ServerFrame, { type: T }>> {
    return this.until(
      () => this.frames.filter((frame) => frame.type === type)[nth - 1] as Extract<ServerFrame, { type: T }>,
    );
  }

  end(): void {
    this.socket.terminate();
  }

  #wake(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}

export function inventoryOf(change: Partial<Inventory> = {}): Inventory {
  return {
    collectedAt: new Date().toISOString(),
    hostname: 'srv-1.example.org',
    os: { family: 'debian', id: 'debian', name: 'Debian 12', version: '12', kernel: '6.1.0', arch: 'amd64' },
    hardware: { vendor: null, model: null, virtual: null, cpu: null, cores: 2, memoryBytes: 2 ** 31 },
    disks: [],
    addresses: [],
    bootId: 'boot',
    bootedAt: new Date().toISOString(),
    packageManager: 'apt',
    guardTier: 'btrfs',
    guardReason: 'btrfs root',
    restartRequired: false,
    restartReasons: [],
    failedUnits: [],
    services: [],
    updates: [],
    updatesError: null,
    ...change,
  };
}
