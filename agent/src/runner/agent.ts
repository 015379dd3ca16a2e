import { setTimeout as delay } from 'node:timers/promises';
import type { Command, ServerFrame } from '#contract/agent-link.ts';
import { noteReplaced, readRestartSignals } from '../../providers/linux/restartSignals.ts';
import { findProvider } from '../../providers/linux/findProvider.ts';
import { loadIdentity, type Identity } from '../enrol/identity.ts';
import { collectInventory } from '../facts/inventory.ts';
import { cleanSnapshots } from '../guard/cleanup.ts';
import { Drainage } from '../guard/drainage.ts';
import { Guardian } from '../guard/guardian.ts';
import { surveyGuard } from '../guard/guardTier.ts';
import { HostRunStore } from '../guard/hostRunStore.ts';
import { readBootedAt, readBootId, requestReboot } from '../host/boot.ts';
import { Journal } from '../journal/journal.ts';
import { AgentLink } from '../link/agentLink.ts';
import type { HostLink } from '../link/hostLink.ts';
import { createMeasuredLink } from '../link/measuredLink.ts';
import { Renewal } from '../link/renewal.ts';
import { ServerAddresses } from '../link/servers.ts';
import { log } from '../log.ts';
import { createSelfUpdate } from '../selfupdate/createSelfUpdate.ts';
import type { SelfUpdate } from '../selfupdate/selfUpdate.ts';
import { locateState, prepareState } from '../state/stateDirectory.ts';
import type { AgentView } from '../verify/agentView.ts';
import { checkLogProof } from '../verify/auditLog.check.ts';
import { verifyRelease } from '../verify/command.verify.ts';
import { isRefusal } from '../verify/refusal.ts';
import { createVerbTable } from '../verbs/verbTable.ts';
import type { AgentParts, CreateLink, Hands } from './agentParts.ts';
import { CommandRunner, type Progress } from './commandRunner.ts';
import { helloFrame } from './hello.ts';
import { AgentMemory } from './memory.ts';
import { ResultOutbox } from './outbox.ts';
import { progressFrame } from './progressFrame.ts';
import { ReleaseStore } from './releaseStore.ts';
import { settlePast } from './settlePast.ts';
import { LockWatch, PinnedPolicy } from './serverFrames.ts';
import { Supervisor } from './supervisor.ts';
import type { VerbTable } from './verb.ts';
import { Witness } from './witness.ts';

const superviseEveryMs = 1000;
const choresEveryMs = 3_600_000;
const inventoryEveryMs = 6 * 3_600_000;
const inventoryLookMs = 10_000;
const lockPatienceMs = 10_000;
const dayMs = 86_400_000;

/** The agent at work: wires the journal, the link, the verbs and the guard together and decides nothing itself. */
export class Agent {
  /** Resolves when the journal cannot be written any more: only a new start, which reads it from the disk, helps then. */
  readonly failed: Promise<Error>;
  /** Resolves when this program has to end so that the launcher starts another version. */
  readonly replaced: Promise<string>;
  readonly #parts: AgentParts;
  readonly #startedAtMs = Date.now();
  readonly #guardian: Guardian;
  readonly #drainage: Drainage;
  readonly #runs: HostRunStore;
  readonly #releases: ReleaseStore;
  readonly #policy: PinnedPolicy;
  readonly #lock: LockWatch;
  readonly #witness: Witness;
  readonly #outbox: ResultOutbox;
  readonly #renewal: Renewal;
  readonly #supervisor: Supervisor;
  readonly #verbs: VerbTable;
  readonly #runner: CommandRunner;
  readonly #servers: ServerAddresses;
  readonly #link: HostLink;
  readonly #selfUpdate: SelfUpdate;
  readonly #ready = Promise.withResolvers<void>();
  readonly #timers: NodeJS.Timeout[] = [];
  #identity: Identity;
  #inventorySentAtMs = 0;
  #isLooking = false;
  /** Another version is about to take over: orders are left to it. */
  #isLeaving = false;

  private constructor(identity: Identity, parts: AgentParts) {
    const { state, memory } = parts;
    this.#identity = identity;
    this.#parts = parts;
    this.failed = parts.journal.failed;
    this.#guardian = new Guardian(state.root);
    this.#drainage = new Drainage(state.root);
    this.#runs = new HostRunStore(state.runs);
    this.#releases = new ReleaseStore(state.releases);
    this.#policy = new PinnedPolicy(state.identity, identity);
    this.#lock = new LockWatch(memory);
    this.#witness = new Witness(memory, {
      agentId: identity.record.agentId,
      privateKey: identity.resultKey.privateKey,
    });
    this.#renewal = new Renewal(state.identity);
    this.#servers = new ServerAddresses(identity.record.agentsUrl, memory);
    this.#link = this.#createLink();
    this.#outbox = new ResultOutbox(identity.resultKey, (frame) => this.#link.send(frame));
    this.#supervisor = new Supervisor({
      guardian: this.#guardian,
      runs: this.#runs,
      isLinkUp: () => this.#link.isUp,
      lastHeardMs: () => this.#link.lastHeardMs,
      isIdle: () => this.#parts.journal.index.open().length === 0,
      startedAtMs: Date.now(),
      onFault: (detail) => this.#alarm('rollback_failed', detail),
    });
    this.#verbs = parts.verbs ?? this.#createVerbs();
    this.#runner = this.#createRunner();
    this.#selfUpdate = createSelfUpdate({
      ...{ parts, guardian: this.#guardian, drainage: this.#drainage },
      ...{ link: () => this.#link, view: () => this.#view() },
      isLooking: () => this.#isLooking,
      pause: (isPaused) => this.#pause(isPaused),
    });
    this.replaced = this.#selfUpdate.replaced;
  }

  /**
   * Opens the state and builds the agent. Throws when the host is not enrolled or the journal was tampered with.
   * `hands` replaces what touches the host; every check and the journal stay as they are.
   */
  static async open(
    stateRoot: string,
    hands: Hands | null = null,
    createLink: CreateLink = (handlers) => createMeasuredLink(handlers, (own) => new AgentLink(own)),
  ): Promise<Agent> {
    const state = locateState(stateRoot);
    await prepareState(state);
    const identity = await loadIdentity(state.identity);
    if (identity === null) throw new Error('this host is not enrolled');
    const journal = await Journal.open(state.journal, Date.now());
    if (journal.tornBytes > 0) log('journal.torn', { bytes: journal.tornBytes });
    return new Agent(identity, {
      state,
      journal,
      memory: await AgentMemory.load(state.memory),
      bootId: await readBootId(),
      bootedAt: await readBootedAt(),
      provider: hands === null ? await findProvider() : hands.provider,
      verbs: hands?.verbs ?? null,
      createLink,
    });
  }

  /** True while commands are open, a guard is armed, or this host is being looked at. */
  async isBusy(): Promise<boolean> {
    return (
      this.#isLooking ||
      this.#parts.journal.index.open().length > 0 ||
      (await this.#guardian.readArmed()) !== null
    );
  }

  /** Starts the work; it ends with `stop`. */
  async start(): Promise<void> {
    this.#link.start();
    this.#every(superviseEveryMs, () => this.#supervisor.tick(Date.now()));
    this.#every(choresEveryMs, () => this.#doChores());
    this.#every(inventoryLookMs, () => this.#sendInventoryIfIdle());
    await this.#settlePast();
    this.#ready.resolve();
    await this.#doChores();
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#link.stop();
    await this.#parts.journal.close();
  }

  #every(ms: number, work: () => Promise<void>): void {
    const run = () => void work().catch((error: unknown) => this.#alarm('internal', String(error)));
    this.#timers.push(setInterval(run, ms));
  }

  #alarm(code: string, detail: string): void {
    log('alarm', { code, detail });
    const at = new Date().toISOString();
    this.#link.send({ type: 'alarm', code, detail: detail.slice(0, 1000) || code, at });
  }

  #createLink(): HostLink {
    return this.#parts.createLink({
      credentials: () => ({ ...this.#identity, url: this.#servers.next() }),
      hello: () => helloFrame(this.#parts, this.#identity, this.#policy.document.epoch),
      heartbeat: () => ({
        type: 'heartbeat',
        at: new Date().toISOString(),
        bootId: this.#parts.bootId,
        cosignature: this.#witness.take(),
        guardArmedUntil: this.#supervisor.armedUntil,
        policyEpoch: this.#policy.document.epoch,
      }),
      isBusy: () => this.isBusy(),
      onFrame: (frame) =>
        void this.#take(frame).catch((error: unknown) =>
          this.#alarm('internal', `${frame.type}: ${String(error)}`),
        ),
      onClosed: (why) => log('link.closed', { why }),
      onBadFrame: (detail) => log('link.bad_frame', { detail }),
    });
  }

  #createVerbs(): VerbTable {
    const { state, bootId, provider, journal } = this.#parts;
    return createVerbTable({
      state,
      bootId,
      provider,
      guardian: this.#guardian,
      drainage: this.#drainage,
      runs: this.#runs,
      surveyGuard: () => surveyGuard(state.root),
      readRestartSignals,
      noteReplaced,
      sendInventory: (inventory) => this.#link.send({ type: 'inventory', inventory }),
      restartHost: async (why) => {
        await journal.append({ t: 'restart', at: new Date().toISOString(), why });
        return requestReboot();
      },
    });
  }

  #createRunner(): CommandRunner {
    const { journal, memory, bootId } = this.#parts;
    const deps = {
      self: this.#identity.record,
      bootId,
      journal,
      verbs: this.#verbs,
      view: () => this.#view(),
      getBundle: (releaseId: string) => this.#releases.get(releaseId),
      lockSeen: () => this.#lock.firstSeen(lockPatienceMs),
      onVerified: async (proof: { checkpoint: { size: number; root: string }; approvedAtMs: number }) => {
        await memory.recordCheckpoint(proof.checkpoint);
        await memory.recordTime(proof.approvedAtMs);
      },
      onResult: (result: Parameters<ResultOutbox['add']>[0]) => this.#outbox.add(result),
      onEnded: async (command: Command) => {
        await this.#supervisor.tick(Date.now());
        // What people look at after a run is the host as it is then.
        if (command.step === 'commit') this.#inventorySentAtMs = 0;
      },
      onProgress: (command: Command, progress: Progress) =>
        void this.#link.send(progressFrame(command, progress)),
      onAlarm: (code: string, detail: string) => this.#alarm(code, detail),
    };
    return new CommandRunner(deps, this.#ready.promise);
  }

  #pause(isPaused: boolean): void {
    this.#isLeaving = isPaused;
    // Orders that came meanwhile were not taken; the server gives them again at the next connection.
    if (!isPaused) this.#link.reconnect();
  }

  #view(): AgentView {
    const { journal, memory } = this.#parts;
    const { index } = journal;
    const nowMs = Date.now();
    return {
      self: this.#identity.record,
      policy: this.#policy.document,
      nowMs,
      timeFloorMs: Math.max(memory.provedTimeMs, index.lastEndedAtMs),
      // The command under judgement has just been received; anything further along was judged before.
      isKnownCommand: (commandId) => (index.commands.get(commandId)?.state ?? 'received') !== 'received',
      highestFence: (hostRunId) => index.fences.get(hostRunId) ?? 0,
      history: (releaseId, hostRunId) => index.history(releaseId, hostRunId),
      restartsLast24h: index.restarts.filter((at) => Date.parse(at) > nowMs - dayMs).length,
      lock: { seenAtMs: this.#lock.seenAtMs, ...memory.lock },
      checkpoints: memory.checkpoints,
    };
  }

  async #take(frame: ServerFrame): Promise<void> {
    const { journal } = this.#parts;
    const onAlarm = (code: string, detail: string) => this.#alarm(code, detail);
    switch (frame.type) {
      case 'welcome':
        return this.#welcome(frame);
      case 'servers':
        return this.#servers.learn(frame.servers);
      case 'release':
        return this.#takeRelease(frame);
      case 'commands':
        if (this.#isLeaving) return;
        await Promise.all(frame.commands.map((command) => this.#runner.accept(command)));
        return;
      case 'resultsHeld':
        if (frame.upTo > journal.index.heldUpTo) await journal.append({ t: 'acked', upTo: frame.upTo });
        return;
      case 'policy':
        return this.#policy.accept(frame.envelopes, onAlarm);
      case 'lock':
        return this.#lock.accept(frame, this.#policy.document, onAlarm);
      case 'checkpoint': {
        const fault = await this.#witness.accept(frame, this.#policy.document);
        if (fault !== null) this.#alarm('log_refused', fault);
        return;
      }
      case 'certificate':
        return this.#takeCertificate(frame.chainPem);
      case 'refused':
        return log('link.refused', { code: frame.code, detail: frame.detail });
      case 'build':
        return this.#selfUpdate.take(frame);
      case 'buildNoted':
        return this.#parts.memory.recordBuildTold(frame.askId);
      case 'measure': // The link itself does that.
    }
  }

  async #welcome(frame: Extract<ServerFrame, { type: 'welcome' }>): Promise<void> {
    const { journal } = this.#parts;
    const { index, head } = journal;
    const held = frame.resultsHeld;
    const skewMs = Math.abs(Date.parse(frame.serverTime) - Date.now());
    if (skewMs > 300_000)
      this.#alarm('clock_skew', `server and host differ by ${Math.round(skewMs / 1000)} s`);
    if (held > index.lastSeq) {
      this.#alarm('journal_went_back', `result ${held} is held, my journal ends at ${index.lastSeq}`);
      await journal.append({ t: 'base', previousHead: head, lastSeq: held, heldUpTo: held });
    } else if (held > index.heldUpTo) {
      await journal.append({ t: 'acked', upTo: held });
    }
    this.#outbox.deliver(index.resultsAfter(held));
    await this.#servers.learn(frame.servers);
    await this.#ready.promise;
    await this.#selfUpdate.prove();
    await this.#sendInventoryIfIdle();
  }

  async #takeRelease(frame: Extract<ServerFrame, { type: 'release' }>): Promise<void> {
    // Synchronous up to the hold: commands in the next frame find the bundle.
    this.#releases.hold(frame.releaseId, frame.bundle);
    const verdict = verifyRelease(frame.bundle, this.#view());
    if (isRefusal(verdict) || verdict.release.id !== frame.releaseId) return;
    const { memory } = this.#parts;
    const subject = { ...verdict, audit: frame.bundle.audit };
    const log = checkLogProof(subject, this.#policy.document, memory.checkpoints);
    // Seen from now on: before the orders are judged, a newer checkpoint may come.
    if (!isRefusal(log)) await memory.recordCheckpoint(log.checkpoint);
    await this.#releases.put(frame.releaseId, frame.bundle);
  }

  async #takeCertificate(chainPem: string): Promise<void> {
    const renewed = await this.#renewal.accept(chainPem, this.#identity);
    if (typeof renewed === 'string') {
      this.#alarm('certificate_refused', renewed);
      return;
    }
    this.#identity = renewed;
    log('certificate.renewed', { generation: renewed.record.generation });
    this.#link.reconnect();
  }

  /** Looks at the host when nothing else is going on: a run has the machine to itself. */
  async #sendInventoryIfIdle(): Promise<void> {
    const isDue = Date.now() - this.#inventorySentAtMs > inventoryEveryMs;
    if (!isDue || !this.#link.isUp || (await this.isBusy())) return;
    this.#inventorySentAtMs = Date.now();
    this.#isLooking = true;
    const { provider, state } = this.#parts;
    const inventory = await collectInventory({
      provider,
      surveyGuard: () => surveyGuard(state.root),
      readRestartSignals,
      signal: AbortSignal.timeout(600_000),
    }).finally(() => (this.#isLooking = false));
    if (!this.#link.send({ type: 'inventory', inventory })) this.#inventorySentAtMs = 0;
  }

  #settlePast(): Promise<void> {
    const { journal, bootId, provider } = this.#parts;
    return settlePast({
      journal,
      bootId,
      provider,
      startedAtMs: this.#startedAtMs,
      guardian: this.#guardian,
      drainage: this.#drainage,
      runs: this.#runs,
      runner: this.#runner,
      verbs: this.#verbs,
      getBundle: (releaseId) => this.#releases.get(releaseId),
    });
  }

  async #doChores(): Promise<void> {
    await this.#releases.prune(Date.now());
    for (const fault of await cleanSnapshots(this.#runs, Date.now())) log('snapshot.kept', { fault });
    for (let tries = 0; tries < 30 && !this.#link.isUp; tries += 1) await delay(1000);
    const frame = await this.#renewal.request(this.#identity, Date.now());
    if (frame !== null) this.#link.send(frame);
  }
}
