import { createServer, type Server } from 'node:https';
import * as x509 from '@peculiar/x509';
import { WebSocketServer, type WebSocket } from 'ws';
import { linkProtocol, type AgentFrame, type Command, type ServerFrame } from '#contract/agent-link.ts';
import { payloadTypes, type EnvelopeSignature } from '#contract/dsse.ts';
import type { CommandResult } from '#contract/results.ts';
import type { Order, ReleaseBundle, ReleaseDocument, TargetDocument } from '#contract/trust.ts';
import { issueServerCertificate } from '../../server/src/features/agents/authorities.ts';
import {
  exportPrivateKey,
  importPrivateKey,
  p256,
  toPem,
  derOf,
} from '../../server/src/features/agents/x509.ts';
import { logOrigin, signCheckpoint } from '../../server/src/platform/audit/checkpoint.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { consistencyProof, inclusionProof, treeRoot } from './merkle-tree.ts';
import type { ReleaseDesk } from './release-desk.ts';
import { readResults } from './signed-results.ts';

/** Everything about a release that stands in the database. */
export interface StolenRelease {
  readonly document: ReleaseDocument;
  readonly payload: Buffer;
  readonly signatures: readonly EnvelopeSignature[];
  readonly targets: readonly Buffer[];
  readonly entryId: string | null;
}

/** Superuser of the database and owner of every key that the server holds, at the place where the server was. */
export class Thief {
  readonly #desk: ReleaseDesk;
  readonly frames: AgentFrame[] = [];
  #server: Server | null = null;
  #socket: WebSocket | null = null;
  /** Commands that were sent, in order. */
  readonly sent: Command[] = [];

  constructor(desk: ReleaseDesk) {
    this.#desk = desk;
  }

  /** Opens the agents' listener in the server's name, with the authority that the stolen secret store gives away. */
  async listen(): Promise<void> {
    const { platform } = this.#desk.server;
    const stored = await platform.secrets.get('agents/server-authority');
    const { der, keyPem } = JSON.parse(stored?.toString() ?? '{}') as { der: string; keyPem: string };
    const authority = {
      certificate: new x509.X509Certificate(Buffer.from(der, 'base64')),
      privateKey: await importPrivateKey(keyPem, p256),
    };
    const leaf = await issueServerCertificate(authority, ['localhost'], Date.now());
    const roots = await this.#desk.query<{ root_certificate: Buffer }>(
      'select root_certificate from tenant_authorities',
    );
    const server = createServer({
      key: await exportPrivateKey(leaf.privateKey),
      cert: toPem(derOf(leaf.certificate)) + toPem(derOf(authority.certificate)),
      ca: roots.map((row) => toPem(row.root_certificate)),
      requestCert: true,
      minVersion: 'TLSv1.3',
    });
    const sockets = new WebSocketServer({ server, path: '/link', handleProtocols: () => linkProtocol });
    sockets.on('connection', (socket) => {
      this.#socket = socket;
      socket.on('message', (data) => this.#receive(JSON.parse((data as Buffer).toString()) as AgentFrame));
    });
    const { host, port } = platform.config.agents;
    await new Promise<void>((resolve) => server.listen(port, host, resolve));
    this.#server = server;
  }

  async stop(): Promise<void> {
    this.#socket?.terminate();
    this.#server?.closeAllConnections();
    await new Promise<void>((resolve) => (this.#server ? this.#server.close(() => resolve()) : resolve()));
  }

  send(frame: ServerFrame): void {
    this.#socket?.send(JSON.stringify(frame));
  }

  #receive(frame: AgentFrame): void {
    this.frames.push(frame);
    const at = new Date().toISOString();
    if (frame.type === 'hello') {
      const { lastResultSeq } = frame;
      this.send({ type: 'welcome', serverTime: at, heartbeatS: 1, resultsHeld: lastResultSeq });
      this.send({ type: 'lock', at, envelope: null });
    }
  }

  /** Waits for a frame that came after `from`. */
  async waitFor<T extends AgentFrame['type']>(
    type: T,
    fits: (frame: Extract<AgentFrame, { type: T }>) => boolean = () => true,
    from = 0,
  ): Promise<Extract<AgentFrame, { type: T }>> {
    const untilMs = Date.now() + 15_000;
    for (;;) {
      const found = this.frames
        .slice(from)
        .find(
          (frame): frame is Extract<AgentFrame, { type: T }> =>
            frame.type === type && fits(frame as Extract<AgentFrame, { type: T }>),
        );
      if (found !== undefined) return found;
      if (Date.now() > untilMs) throw new Error(`no ${type} frame came`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Orders a step of a release; the agent's own words about it. */
  async order(bundle: ReleaseBundle, order: Pick<Order, 'step' | 'verb'>, bend: Partial<Command> = {}) {
    const release = JSON.parse(
      Buffer.from(bundle.envelope.payload, 'base64url').toString(),
    ) as ReleaseDocument;
    const command: Command = {
      commandId: newId(),
      verb: order.verb as Command['verb'],
      releaseId: release.id,
      runId: release.runId,
      hostRunId: newId(),
      step: order.step,
      fence: 1,
      ...bend,
    };
    this.send({ type: 'release', releaseId: release.id, bundle });
    return this.command(command);
  }

  async command(command: Command): Promise<CommandResult> {
    this.sent.push(command);
    this.send({ type: 'commands', commands: [command] });
    return this.resultOf(command.commandId);
  }

  async resultOf(commandId: string): Promise<CommandResult> {
    const frame = await this.waitFor('results', ({ envelopes }) =>
      envelopes.flatMap(readResults).some((one) => one.commandId === commandId),
    );
    const result = frame.envelopes.flatMap(readResults).find((one) => one.commandId === commandId);
    if (result === undefined) throw new Error('the result is gone');
    return result;
  }

  /** The alarm that the agent raises about what `act` sends. */
  async alarmAfter(act: () => void | Promise<void>): Promise<{ code: string; detail: string }> {
    const from = this.frames.length;
    await act();
    return this.waitFor('alarm', () => true, from);
  }

  async steal(releaseId: string): Promise<StolenRelease> {
    const [row] = await this.#desk.query<{ payload: Buffer; approved_entry_id: string | null }>(
      'select payload, approved_entry_id from releases where id = $1',
      [releaseId],
    );
    const signatures = await this.#desk.query<{ signature: EnvelopeSignature }>(
      'select signature from release_signatures where release_id = $1 order by created_at',
      [releaseId],
    );
    const targets = await this.#desk.query<{ document: Buffer }>(
      'select document from release_targets where release_id = $1 order by leaf_index',
      [releaseId],
    );
    if (row === undefined) throw new Error('there is no such release');
    return {
      payload: row.payload,
      document: JSON.parse(row.payload.toString()) as ReleaseDocument,
      signatures: signatures.map(({ signature }) => signature),
      targets: targets.map(({ document }) => document),
      entryId: row.approved_entry_id,
    };
  }

  /** Every leaf of the real log, in order. */
  async log(): Promise<Buffer[]> {
    const rows = await this.#desk.query<{ leaf: Buffer }>(
      `select e.leaf from audit_leaves l join audit_entries e on e.tenant_id = l.tenant_id and e.entry_id = l.entry_id
       where l.tenant_id = $1 order by l.leaf_index`,
      [this.#desk.tenantId],
    );
    return rows.map(({ leaf }) => leaf);
  }

  /** A checkpoint over any leaves, with the stolen key of the log. */
  checkpoint(leaves: readonly Buffer[]): Promise<string> {
    const head = { origin: logOrigin(this.#desk.tenantId), size: leaves.length, root: treeRoot(leaves) };
    return signCheckpoint(head, this.#desk.server.platform.logKey);
  }

  /** Shows the agent a log as the next state of the one it has seen. */
  async showLog(leaves: readonly Buffer[], seenSize: number): Promise<void> {
    const checkpoint = await this.checkpoint(leaves);
    this.send({ type: 'checkpoint', checkpoint, proof: consistencyProof(leaves, seenSize) });
  }

  /** The bundle of a release over a log, by default the real one with the real approval. */
  async bundle(
    release: Pick<StolenRelease, 'payload' | 'signatures' | 'targets'>,
    bend: {
      readonly index?: number;
      readonly log?: readonly Buffer[];
      readonly leaf?: Buffer;
      readonly target?: Buffer;
      readonly payloadType?: string;
    } = {},
  ): Promise<ReleaseBundle> {
    const { index = 0, payloadType = payloadTypes.command } = bend;
    const log = bend.log ?? (await this.log());
    const { id } = JSON.parse(release.payload.toString()) as ReleaseDocument;
    const approvals = log.filter((one) => {
      const { action, subjectId } = JSON.parse(one.toString()) as { action: string; subjectId: string };
      return action === 'release.approved' && subjectId === id;
    });
    const leaf = bend.leaf ?? approvals[0] ?? log[0];
    if (leaf === undefined) throw new Error('the log is empty');
    const leafIndex = log.indexOf(leaf);
    return {
      envelope: {
        payloadType,
        payload: release.payload.toString('base64url'),
        signatures: [...release.signatures],
      },
      target: (bend.target ?? release.targets[index] ?? Buffer.alloc(0)).toString('base64url'),
      targetIndex: index,
      targetProof: inclusionProof(release.targets, index),
      audit: {
        leaf: leaf.toString('base64url'),
        leafIndex,
        proof: inclusionProof(log, leafIndex),
        checkpoint: await this.checkpoint(log),
      },
    };
  }

  /** What the thief would like to have done on the host: his own package, from his own orders. */
  wish(host: { readonly hostId: string; readonly agentId: string }, releaseId: string): TargetDocument {
    const evil = {
      ...{ name: 'backdoor', arch: 'amd64', fromVersion: null, version: '6.6.6' },
      sha256: 'e'.repeat(64),
    };
    return {
      v: 1,
      release: releaseId,
      host: host.hostId,
      hostname: 'victim',
      agent: host.agentId,
      wave: 1,
      orders: [
        { step: 'preflight', verb: 'host.preflight', args: { minFreeBytes: 1 } },
        { step: 'install', verb: 'updates.install', args: { packages: [evil] } },
      ],
    };
  }
}
