import { Value } from 'typebox/value';
import type { SshFault } from '#contract/reach.ts';
import type { VisitReply, VisitRequest } from '#contract/visit.ts';
import { HostName } from '#contract/schema.ts';
import type { TenantTx } from '../../platform/db.ts';
import { sha256Hex } from './sshKey.policy.ts';
import type { OpenAccess, ReachDeps } from './reach.deps.ts';
import * as repository from './reach.repository.ts';
import type { AccessRow } from './reach.repository.ts';

type Described = Extract<VisitReply, { kind: 'described' }>;

/** Why SSH does not take a host over. It is an answer for people, not a fault of ours. */
export class TakeOverRefused extends Error {
  readonly fault: SshFault;

  constructor(fault: SshFault, detail: string) {
    super(detail);
    this.name = 'TakeOverRefused';
    this.fault = fault;
  }
}

/** Makes the engine of one host work for visits: brings it, recognises or adopts the host, takes over from its agent. */
export class TakeOver {
  readonly #deps: ReachDeps;

  constructor(deps: ReachDeps) {
    this.#deps = deps;
  }

  /** Ends with the access active. Throws TakeOverRefused, or what the runner throws; doing it again does no harm. */
  async run(access: AccessRow, opened: OpenAccess): Promise<void> {
    const described = await this.#describe(opened);
    const present = await this.#recognise(access, described);
    const identity = present ?? (await this.#adopt(access, opened, described));
    await this.#ask(opened, { kind: 'take' });
    await this.#deps.db.inTenant(access.tenantId, async (tx) => {
      await repository.tieToHost(tx, access.id, identity);
      await repository.moveAccess(tx, access.id, { from: 'starting', to: 'active' });
      await this.#deps.agents.setReach(tx, identity.agentId, 'ssh');
      const { agentId, hostId } = identity;
      await this.#deps.emit(tx, {
        type: 'agent.changed',
        subjectId: agentId,
        data: { hostId, reach: 'ssh' },
      });
      await this.#deps.emit(tx, { type: 'host.changed', subjectId: hostId, data: { reach: 'ssh' } });
    });
    await this.#deps.reachChanged(identity.agentId);
  }

  async #describe(opened: OpenAccess): Promise<Described> {
    const { runner, faultOf } = this.#deps;
    const reply = await runner.visit(opened, { kind: 'describe' }).catch(async (error: unknown) => {
      if (faultOf(error)?.fault !== 'engine_missing') throw error;
      await runner.install(opened);
      return runner.visit(opened, { kind: 'describe' });
    });
    if (reply.kind !== 'described') throw new TakeOverRefused('engine_failed', detailOf(reply));
    if (!Value.Check(HostName, reply.hostname))
      throw new TakeOverRefused('unsupported_host', 'the host’s name is no DNS name (RFC 1123)');
    return reply;
  }

  async #ask(opened: OpenAccess, request: VisitRequest): Promise<void> {
    const reply = await this.#deps.runner.visit(opened, request);
    if (reply.kind !== 'done') throw new TakeOverRefused('engine_failed', detailOf(reply));
  }

  /** The agent of ours that the host says it is; null when it has to be adopted. */
  async #recognise(
    access: AccessRow,
    described: Described,
  ): Promise<{ hostId: string; agentId: string } | null> {
    const { hostId, tenantId } = access;
    if (hostId === null) return null;
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      if ((await repository.machineOf(tx, hostId)) !== described.machineId)
        throw new TakeOverRefused('wrong_identity', `${described.hostname} is another machine`);
      const agentId = await this.#deps.agents.liveOf(tx, hostId);
      if (agentId !== null && agentId === described.agentId) return { hostId, agentId };
      // A new identity would begin a new history in the middle of a run: what the old one did would be nobody's.
      if (await repository.isClaimed(tx, hostId))
        throw new TakeOverRefused('identity_lost', 'a run has this host, and its agent’s memory is gone');
      return null;
    });
  }

  async #adopt(
    access: AccessRow,
    opened: OpenAccess,
    described: Described,
  ): Promise<{ hostId: string; agentId: string }> {
    const { db, fleet, trust, newId } = this.#deps;
    const { tenantId, siteId } = access;
    const { hostname, machineId } = described;
    const { hostId, policies } = await db.inTenant(tenantId, async (tx) => ({
      policies: await trust.chain(tx),
      hostId: access.hostId ?? (await fleet.registerHost(tx, { siteId, hostname, machineId })),
    }));
    const first = policies[0];
    if (first === undefined) throw new TakeOverRefused('policy_missing', 'no policy document is published');
    const policySha256 = sha256Hex(Buffer.from(first.payload, 'base64url'));
    const agentId = newId();
    // The host first: what it does not know must not be in our books. Interrupted here, the next try adopts it anew.
    await this.#ask(opened, {
      ...{ kind: 'adopt', tenantId, hostId, agentId, policySha256, policies },
      replaces: described.agentId,
    });
    await db.inTenant(tenantId, (tx) => this.#enrol(tx, access, { hostId, agentId, described }));
    return { hostId, agentId };
  }

  async #enrol(
    tx: TenantTx,
    access: AccessRow,
    made: { hostId: string; agentId: string; described: Described },
  ): Promise<void> {
    const { hostId, agentId, described } = made;
    const resultPublicKey = Buffer.from(described.resultPublicKey, 'base64url');
    await this.#deps.agents.adopt(tx, { agentId, hostId, resultPublicKey, version: described.agentVersion });
    await this.#deps.audit.record(tx, {
      action: 'agent.enrolled',
      actorKind: 'system',
      actorId: null,
      subjectType: 'host',
      subjectId: hostId,
      outcome: 'ok',
      digest: sha256Hex(resultPublicKey),
      // Nobody but this server vouches for the key: it travelled over SSH, not with a token that a person carried.
      details: { by: 'runner', agentId, sshAccessId: access.id, hostname: described.hostname },
    });
  }
}

function detailOf(reply: VisitReply): string {
  return reply.kind === 'refused' ? `${reply.code}: ${reply.detail}` : reply.kind;
}
