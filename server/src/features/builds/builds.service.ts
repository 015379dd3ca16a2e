import {
  compareVersions,
  type AgentBuild,
  type BuildRollout,
  type RolloutRequest,
} from '#contract/builds.ts';
import type { AuditAction } from '#contract/audit.ts';
import { payloadTypes, type Envelope } from '#contract/dsse.ts';
import type { TenantTx } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import { actorOf, type TenantActor } from '../../platform/http/caller.ts';
import { byId, pageOf, type IdPage } from '../../platform/page.ts';
import type { BuildsDeps } from './builds.deps.ts';
import { judgeBuild } from './builds.document.ts';
import * as repository from './builds.repository.ts';

const isOlder = (version: string | null, than: string): boolean =>
  version === null || !/^\d+\.\d+\.\d+$/.test(version) || compareVersions(version, than) < 0;

/** What people do with builds of the agent. */
export class BuildsService {
  readonly #deps: BuildsDeps;

  constructor(deps: BuildsDeps) {
    this.#deps = deps;
  }

  /** Newest first. */
  listBuilds(tenantId: string, page: IdPage) {
    return this.#list(tenantId, page, (tx) => repository.listBuilds(tx, page));
  }

  /** Newest first. */
  listRollouts(tenantId: string, page: IdPage) {
    return this.#list(tenantId, page, (tx) => repository.listRollouts(tx, page));
  }

  /** Newest first, of one rollout or of one host when they are named. */
  listAsks(tenantId: string, page: IdPage, wish: Parameters<typeof repository.listAsks>[2]) {
    return this.#list(tenantId, page, (tx) => repository.listAsks(tx, page, wish));
  }

  /** Errors: signature_refused, transition_refused before the first policy document, already_exists. */
  async importBuild(
    actor: TenantActor,
    given: { readonly envelope: Envelope; readonly artefact: string },
  ): Promise<AgentBuild> {
    const { clock, db, newId, trust } = this.#deps;
    const policy = await db.inTenant(actor.tenantId, (tx) => trust.current(tx));
    if (policy === null)
      throw new AppError('signature_refused', { detail: 'there is no policy document that names root keys' });
    const opened = trust.openRootSigned(given.envelope, payloadTypes.agentBuild, policy.document);
    const { tenantId } = actor;
    const signed = judgeBuild(opened, { tenantId, artefact: given.artefact }, clock.now());
    return db.inTenant(actor.tenantId, async (tx) => {
      const by = { id: newId(), envelope: given.envelope, personId: actor.id };
      const build = await repository.insertBuild(tx, signed, by);
      if (build === null) throw new AppError('already_exists', { detail: 'this document is here already' });
      const { version, sha256, expiresAt } = build;
      await this.#record(tx, actor, {
        ...{ action: 'agent_build.imported', subjectId: build.id, digest: build.documentSha256 },
        details: { version, sha256, expiresAt },
      });
      return build;
    });
  }

  /** Errors: not_found, invalid_request on hosts, transition_refused when it has expired, another one runs, or nobody needs it. */
  async start(actor: TenantActor, wish: RolloutRequest): Promise<BuildRollout> {
    const { clock, db, newId } = this.#deps;
    const nowMs = clock.now();
    return db.inTenant(actor.tenantId, async (tx) => {
      const build = await repository.getBuild(tx, wish.buildId);
      if (Date.parse(build.expiresAt) <= nowMs)
        throw new AppError('transition_refused', { detail: 'the signed document has expired' });
      const hosts = this.#choose(await repository.listCandidates(tx), build.version, wish.hostIds);
      const asks = hosts.map(({ hostId, version }, index) => ({
        ...{ id: newId(), hostId, fromVersion: version },
        ring: index < wish.firstHosts ? (1 as const) : (2 as const),
      }));
      const { reason, soakMinutes, buildId } = wish;
      const rollout = {
        id: newId(),
        buildId,
        reason,
        soakMinutes,
        requestedBy: actor.id,
        startedAt: new Date(nowMs),
      };
      if (!(await repository.insertRollout(tx, rollout, asks)))
        throw new AppError('transition_refused', { detail: 'another rollout is running' });
      await this.#record(tx, actor, {
        ...{ action: 'build_rollout.started', subjectId: rollout.id, digest: build.documentSha256 },
        details: {
          ...{ version: build.version, reason, soakMinutes, hosts: hosts.length },
          firstHostIds: asks.filter(({ ring }) => ring === 1).map(({ hostId }) => hostId),
        },
      });
      return repository.getRollout(tx, rollout.id);
    });
  }

  /** Errors: not_found, transition_refused when it has ended. */
  async stop(actor: TenantActor, rolloutId: string, reason: string): Promise<BuildRollout> {
    const { clock, db } = this.#deps;
    return db.inTenant(actor.tenantId, async (tx) => {
      await repository.getRollout(tx, rolloutId);
      const end = { state: 'stopped', why: reason, at: new Date(clock.now()) } as const;
      if (!(await repository.endRollout(tx, rolloutId, end)))
        throw new AppError('transition_refused', { detail: 'the rollout has ended' });
      await this.#record(tx, actor, {
        ...{ action: 'build_rollout.stopped', subjectId: rolloutId, digest: null, details: { reason } },
      });
      return repository.getRollout(tx, rolloutId);
    });
  }

  /** Hosts to ask, in their order. Silent ones are left out unless they are named: nobody waits for them. */
  #choose(
    candidates: readonly repository.Candidate[],
    version: string,
    hostIds: readonly string[] | undefined,
  ): repository.Candidate[] {
    if (hostIds === undefined) {
      const older = candidates.filter((one) => one.isConnected && isOlder(one.version, version));
      if (older.length > 0) return older;
      throw new AppError('transition_refused', { detail: 'no connected host has an older agent' });
    }
    const known = new Map(candidates.map((one) => [one.hostId, one]));
    return hostIds.map((hostId, index) => {
      const host = known.get(hostId);
      if (host !== undefined) return host;
      const message = 'this host has no agent of its own';
      throw new AppError('invalid_request', {
        fields: [{ path: `/body/hostIds/${index}`, rule: 'agent', message }],
      });
    });
  }

  #list<T extends { readonly id: string }>(
    tenantId: string,
    page: IdPage,
    read: (tx: TenantTx) => Promise<T[]>,
  ) {
    return this.#deps.db.inTenant(tenantId, async (tx) =>
      pageOf(await read(tx), page.limit, { item: (one) => one, keys: byId }),
    );
  }

  async #record(
    tx: TenantTx,
    actor: TenantActor,
    entry: {
      readonly action: AuditAction;
      readonly subjectId: string;
      readonly digest: string | null;
      readonly details: Record<string, unknown>;
    },
  ): Promise<void> {
    const subjectType = entry.action === 'agent_build.imported' ? 'agent_build' : 'build_rollout';
    await this.#deps.audit.record(tx, { ...entry, ...actorOf(actor), subjectType, outcome: 'ok' });
  }
}
