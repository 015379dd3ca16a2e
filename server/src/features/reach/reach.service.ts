import type { SshAccess, SshAccessCreate, SshFault, SshTest } from '#contract/reach.ts';
import type { AuditAction } from '#contract/audit.ts';
import { isUniqueViolation, type TenantTx } from '../../platform/db.ts';
import { AppError, found } from '../../platform/errors.ts';
import { actorOf, type TenantActor } from '../../platform/http/caller.ts';
import { byId, pageOf, type IdPage } from '../../platform/page.ts';
import type { OpenAccess, ReachDeps, ReachFault } from './reach.deps.ts';
import * as repository from './reach.repository.ts';
import type { AccessRow } from './reach.repository.ts';
import { isKeyOfType, judgePrivateKey } from './sshKey.policy.ts';
import { TakeOver, TakeOverRefused } from './takeOver.ts';

const secretOf = (accessId: string): string => `ssh-access:${accessId}`;

function badField(path: string, message: string): AppError {
  return new AppError('invalid_request', { fields: [{ path, rule: 'key', message }] });
}

function readKey(privateKey: string): string {
  const verdict = judgePrivateKey(privateKey);
  if ('fingerprint' in verdict) return verdict.fingerprint;
  const why =
    verdict.fault === 'passphrase'
      ? 'the key is under a passphrase: nobody could type it at night'
      : 'the key is not in OpenSSH form; ssh-keygen -p -f FILE converts it';
  throw badField('/body/privateKey', why);
}

/** Keeps SSH accesses and their keys, and decides with people which hosts SSH drives. */
export class ReachService {
  readonly #deps: ReachDeps;
  readonly #takeOver: TakeOver;
  readonly #working = new Map<string, Promise<void>>();

  constructor(deps: ReachDeps) {
    this.#deps = deps;
    this.#takeOver = new TakeOver(deps);
  }

  /** Newest first. */
  list(tenantId: string, page: IdPage, hostId: string | undefined) {
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const rows = await repository.listAccesses(tx, page, hostId);
      return pageOf(rows, page.limit, { item: repository.toAccess, keys: byId });
    });
  }

  /** What an address shows. A fault is an answer; the question is in the log. */
  async readHostKeys(actor: TenantActor, at: { readonly address: string; readonly port: number }) {
    const read = await this.#deps.runner.readHostKeys(at.address, at.port);
    await this.#deps.db.inTenant(actor.tenantId, (tx) =>
      this.#record(tx, actor, {
        action: 'ssh_access.host_keys_read',
        id: null,
        details: { ...at, fault: read.fault, fingerprints: read.keys.map(({ fingerprint }) => fingerprint) },
      }),
    );
    return read;
  }

  /** Errors: invalid_request for a key that cannot be used, or a site or host that is not here; already_exists. */
  async create(actor: TenantActor, body: SshAccessCreate): Promise<SshAccess> {
    const { privateKey, ...wish } = body;
    const publicKeyFingerprint = readKey(privateKey);
    if (!isKeyOfType(wish.hostKey.type, wish.hostKey.key))
      throw badField('/body/hostKey', 'the bytes are not a key of this type');
    const id = this.#deps.newId();
    await this.#deps.secrets.set(secretOf(id), Buffer.from(privateKey.trim()));
    try {
      return await this.#deps.db.inTenant(actor.tenantId, async (tx) => {
        await this.#checkPlaces(tx, wish);
        await repository.insertAccess(tx, { ...wish, id, publicKeyFingerprint, createdBy: actor.id });
        const access = repository.toAccess(found(await repository.getAccess(tx, id)));
        const { address, port, user, hostKeyFingerprint, hostId, siteId } = access;
        const details = { address, port, user, hostKeyFingerprint, publicKeyFingerprint, hostId, siteId };
        await this.#record(tx, actor, { action: 'ssh_access.created', id, details });
        return access;
      });
    } catch (error) {
      await this.#deps.secrets.remove(secretOf(id));
      if (isUniqueViolation(error)) throw new AppError('already_exists', { cause: error });
      throw error;
    }
  }

  /** Tries an access; nothing changes on the host. */
  async test(actor: TenantActor, id: string): Promise<SshTest> {
    const access = await this.#get(actor.tenantId, id);
    const test = await this.#deps.runner.contact(await this.#open(access));
    await this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      const fault = test.fault === null ? null : { code: test.fault, detail: test.detail.slice(0, 500) };
      await repository.recordContact(tx, id, fault);
      const { ok, sandbox, tookMs } = test;
      await this.#record(tx, actor, {
        action: 'ssh_access.tested',
        id,
        details: { ok, fault: test.fault, sandbox, tookMs, hostId: access.hostId },
      });
    });
    return test;
  }

  /** The next job uses the new key. Errors: not_found, invalid_request. */
  async replaceKey(actor: TenantActor, id: string, privateKey: string): Promise<SshAccess> {
    await this.#get(actor.tenantId, id);
    const fingerprint = readKey(privateKey);
    await this.#deps.secrets.set(secretOf(id), Buffer.from(privateKey.trim()));
    return this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      await repository.replaceFingerprint(tx, id, fingerprint);
      await this.#record(tx, actor, {
        action: 'ssh_access.key_replaced',
        id,
        details: { publicKeyFingerprint: fingerprint },
      });
      return repository.toAccess(found(await repository.getAccess(tx, id)));
    });
  }

  /** SSH drives the host from now on: begun here, done in the background. Errors: transition_refused, policy_refused. */
  async activate(actor: TenantActor, id: string, reason: string): Promise<SshAccess> {
    const access = await this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      const { hostId } = found(await repository.getAccess(tx, id));
      if ((await this.#deps.trust.chain(tx)).length === 0)
        throw new AppError('policy_refused', { detail: 'no policy document is published' });
      if (!(await repository.moveAccess(tx, id, { from: 'prepared', to: 'starting' })))
        throw new AppError('transition_refused', { detail: 'the access is already in use' });
      await this.#record(tx, actor, { action: 'ssh_access.activated', id, details: { hostId, reason } });
      return found(await repository.getAccess(tx, id));
    });
    this.#begin(access);
    return repository.toAccess(access);
  }

  /** Gives the host back to its agent. Errors: transition_refused while it is not active or a run has the host. */
  async deactivate(actor: TenantActor, id: string, reason: string): Promise<SshAccess> {
    const access = await this.#get(actor.tenantId, id);
    const { agentId, hostId } = access;
    if (access.state !== 'active' || agentId === null || hostId === null)
      throw new AppError('transition_refused', { detail: 'SSH does not drive this host' });
    const kept = await this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      if (await repository.isClaimed(tx, hostId))
        throw new AppError('transition_refused', { detail: 'a run has this host' });
      if (!(await repository.moveAccess(tx, id, { from: 'active', to: 'prepared' })))
        throw new AppError('transition_refused', { detail: 'SSH does not drive this host' });
      await this.#deps.agents.setReach(tx, agentId, 'agent');
      await this.#record(tx, actor, { action: 'ssh_access.deactivated', id, details: { hostId, reason } });
      await this.#deps.emit(tx, { type: 'host.changed', subjectId: hostId, data: { reach: 'agent' } });
      return found(await repository.getAccess(tx, id));
    });
    await this.#deps.reachChanged(agentId);
    this.#run(id, async () => {
      await this.#deps.runner.visit(await this.#open(kept), { kind: 'give_back' });
    });
    return repository.toAccess(kept);
  }

  /** Errors: not_found, transition_refused while the access is in use. */
  async remove(actor: TenantActor, id: string): Promise<void> {
    await this.#deps.db.inTenant(actor.tenantId, async (tx) => {
      const { state, address, hostId } = found(await repository.getAccess(tx, id));
      if (state !== 'prepared')
        throw new AppError('transition_refused', { detail: 'SSH drives this host: give it back first' });
      await repository.removeAccess(tx, id);
      await this.#record(tx, actor, { action: 'ssh_access.removed', id, details: { address, hostId } });
    });
    await this.#deps.secrets.remove(secretOf(id));
  }

  /** Hosts that SSH drives, of every tenant, for the way that reaches them. */
  async listActive(): Promise<
    readonly { accessId: string; tenantId: string; agentId: string; hostId: string }[]
  > {
    const rows = await this.#deps.db.inSystem('reach.listActive', (tx) =>
      repository.listInState(tx, 'active'),
    );
    return rows.flatMap(({ id, tenantId, agentId, hostId }) =>
      agentId === null || hostId === null ? [] : [{ accessId: id, tenantId, agentId, hostId }],
    );
  }

  /** True for the process that visits: the eldest of those that are alive. */
  isVisitor(nodeId: string): Promise<boolean> {
    return this.#deps.db.inSystem('reach.findVisitor', (tx) => repository.isEldestNode(tx, nodeId));
  }

  /** Address and credential of one job; null when the access is gone. */
  async openFor(of: { readonly tenantId: string; readonly accessId: string }): Promise<OpenAccess | null> {
    const row = await this.#deps.db.inTenant(of.tenantId, (tx) => repository.getAccess(tx, of.accessId));
    return row === null ? null : this.#open(row);
  }

  /** Notes what a visit came to, and tells screens when that changed. */
  async contacted(
    of: { readonly tenantId: string; readonly accessId: string; readonly hostId: string },
    fault: ReachFault | null,
  ): Promise<void> {
    await this.#deps.db.inTenant(of.tenantId, async (tx) => {
      const noted = fault === null ? null : { code: codeOf(fault), detail: fault.detail.slice(0, 500) };
      if (!(await repository.recordContact(tx, of.accessId, noted))) return;
      await this.#deps.emit(tx, {
        type: 'host.changed',
        subjectId: of.hostId,
        data: { sshFault: noted?.code ?? null },
      });
    });
  }

  /** Takes up what a former life of the server has begun. */
  async resume(): Promise<void> {
    const rows = await this.#deps.db.inSystem('reach.listStarting', (tx) =>
      repository.listInState(tx, 'starting'),
    );
    for (const access of rows) this.#begin(access);
  }

  /** Waits for work in the background. */
  async stop(): Promise<void> {
    await Promise.all(this.#working.values());
  }

  #begin(access: AccessRow): void {
    this.#run(access.id, async () => this.#takeOver.run(access, await this.#open(access)), access.tenantId);
  }

  /** Work in the background of a request; what it comes to is written on the access. */
  #run(id: string, work: () => Promise<void>, tenantId?: string): void {
    const before = this.#working.get(id) ?? Promise.resolve();
    const mine = before
      .then(work)
      .catch((error: unknown) => this.#giveUp(id, tenantId, error))
      .catch((error: unknown) =>
        this.#deps.log.error({ err: error, sshAccessId: id }, 'an SSH access was not noted'),
      )
      .finally(() => {
        if (this.#working.get(id) === mine) this.#working.delete(id);
      });
    this.#working.set(id, mine);
  }

  async #giveUp(id: string, tenantId: string | undefined, error: unknown): Promise<void> {
    const fault = this.#faultOf(error);
    this.#deps.log.warn(
      { err: error, sshAccessId: id, fault: fault.code },
      'a host could not be worked on over SSH',
    );
    if (tenantId === undefined) return;
    await this.#deps.db.inTenant(tenantId, async (tx) => {
      await repository.moveAccess(tx, id, { from: 'starting', to: 'prepared' });
      await repository.recordContact(tx, id, fault);
      const access = await repository.getAccess(tx, id);
      if (access?.hostId == null) return;
      await this.#deps.emit(tx, {
        type: 'host.changed',
        subjectId: access.hostId,
        data: { sshFault: fault.code },
      });
    });
  }

  #faultOf(error: unknown): { code: SshFault; detail: string } {
    if (error instanceof TakeOverRefused) return { code: error.fault, detail: error.message.slice(0, 500) };
    const fault = this.#deps.faultOf(error);
    if (fault === null) return { code: 'engine_failed', detail: 'the server’s log says more' };
    return { code: codeOf(fault), detail: fault.detail.slice(0, 500) };
  }

  #get(tenantId: string, id: string): Promise<AccessRow> {
    return this.#deps.db.inTenant(tenantId, async (tx) => found(await repository.getAccess(tx, id)));
  }

  async #open(access: AccessRow): Promise<OpenAccess> {
    const key = await this.#deps.secrets.get(secretOf(access.id));
    if (key === null) throw new TakeOverRefused('credential_refused', 'the key is not kept any more');
    const { address, port, user, hostKeyType, hostKey } = access;
    return { target: { address, port, user, hostKeyType, hostKey }, privateKey: `${key.toString('utf8')}\n` };
  }

  async #checkPlaces(tx: TenantTx, wish: { siteId: string; hostId?: string }): Promise<void> {
    if (!(await repository.siteOf(tx, wish.siteId)))
      throw badField('/body/siteId', 'there is no such site here');
    if (wish.hostId !== undefined && (await repository.machineOf(tx, wish.hostId)) === null)
      throw badField('/body/hostId', 'there is no such host here');
  }

  async #record(
    tx: TenantTx,
    actor: TenantActor,
    entry: {
      readonly action: AuditAction;
      readonly id: string | null;
      readonly details: Record<string, unknown>;
    },
  ): Promise<void> {
    await this.#deps.audit.record(tx, {
      action: entry.action,
      ...actorOf(actor),
      subjectType: 'ssh_access',
      subjectId: entry.id,
      outcome: 'ok',
      digest: null,
      details: entry.details,
    });
  }
}

/** An engine that is missing even after it was brought has failed. */
function codeOf({ fault }: ReachFault): SshFault {
  return fault === 'engine_missing' ? 'engine_failed' : fault;
}
