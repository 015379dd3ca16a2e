import type { AgentFrame } from '#contract/agent-link.ts';
import type { TenantTx } from '../../platform/db.ts';
import type { BuildsDeps } from './builds.deps.ts';
import { decideRollout, type NextStep } from './builds.policy.ts';
import * as repository from './builds.repository.ts';

type Outcome = Extract<AgentFrame, { type: 'buildOutcome' }>;

interface Sender {
  readonly tenantId: string;
  readonly agentId: string;
  readonly hostId: string;
}

const topic = 'builds.asked';

const entries = {
  updated: { action: 'agent.updated', outcome: 'ok' },
  reverted: { action: 'agent.update_reverted', outcome: 'failed' },
  refused: { action: 'agent.update_refused', outcome: 'refused' },
} as const;

/** Asks hosts in their order and writes down what came of it. */
export class BuildsRollout {
  readonly #deps: BuildsDeps;

  constructor(deps: BuildsDeps) {
    this.#deps = deps;
    deps.nodes.hear(topic, ({ tenantId, askIds }) =>
      this.#deliverSoon(String(tenantId), (askIds as unknown[]).map(String)),
    );
  }

  /** One look at every rollout that runs. One that fails holds no other tenant's up. */
  async advanceAll(): Promise<void> {
    const { db, log } = this.#deps;
    const running = await db.inSystem('builds.running', repository.listRunning);
    for (const one of running)
      await this.#advance(one.tenantId, one.rolloutId).catch((error: unknown) =>
        log.warn({ err: error, ...one }, 'a rollout of an agent build did not go on; tried again soon'),
      );
  }

  /** Takes a rollout one step further; nothing when it runs no more. Two processes take turns. */
  async #advance(tenantId: string, rolloutId: string): Promise<void> {
    const { clock, db } = this.#deps;
    const nowMs = clock.now();
    const step = await db.inTenant(tenantId, async (tx): Promise<NextStep | null> => {
      const facts = await repository.lockRollout(tx, rolloutId);
      if (facts === null) return null;
      const next = decideRollout(facts.rollout, facts.asks, nowMs);
      if (next.kind === 'end') await this.#end(tx, rolloutId, { ...next, at: new Date(nowMs) });
      else if (next.askIds.length > 0) await repository.markAsked(tx, next.askIds, new Date(nowMs));
      return next;
    });
    if (step?.kind !== 'ask' || step.askIds.length === 0) return;
    this.#deps.nodes.tell(topic, { tenantId, askIds: step.askIds });
    await this.#deliver(tenantId, step.askIds);
  }

  /** An agent says what came of a request. It hears that this is kept, so that it need not say it again. */
  async receive(sender: Sender, said: Outcome): Promise<void> {
    const { clock, db, link, log } = this.#deps;
    const { askId, code, detail } = said;
    if (said.outcome === 'updated' && said.running !== said.version) {
      log.warn({ ...sender, said }, 'an agent says that it became what it is not');
      return;
    }
    const state = said.outcome === 'postponed' ? 'waiting' : said.outcome;
    await db.inTenant(sender.tenantId, async (tx) => {
      const at = new Date(clock.now());
      const { hostId } = sender;
      const known = await repository.recordOutcome(tx, { askId, hostId, state, code, detail, at });
      if (known === null || state === 'waiting') return;
      const { rolloutId } = known;
      const { version, running } = said;
      await this.#deps.audit.record(tx, {
        ...{ ...entries[state], actorKind: 'agent', actorId: sender.agentId },
        ...{ subjectType: 'host', subjectId: sender.hostId, digest: null },
        details: { rolloutId, version, running, code, detail },
      });
    });
    if (state !== 'waiting') link.send(sender.agentId, { type: 'buildNoted', askId });
  }

  async #end(
    tx: TenantTx,
    rolloutId: string,
    end: { readonly state: 'halted' | 'done'; readonly why: string | null; readonly at: Date },
  ): Promise<void> {
    await repository.endRollout(tx, rolloutId, end);
    await this.#deps.audit.record(tx, {
      ...{ action: 'build_rollout.ended', actorKind: 'system', actorId: null },
      ...{ subjectType: 'build_rollout', subjectId: rolloutId, digest: null },
      outcome: end.state === 'done' ? 'ok' : 'failed',
      details: { state: end.state, why: end.why },
    });
  }

  #deliverSoon(tenantId: string, askIds: readonly string[]): void {
    this.#deliver(tenantId, askIds).catch((error: unknown) =>
      this.#deps.log.warn({ err: error }, 'agents hear of their next version when they are asked again'),
    );
  }

  /** Hands the build to those agents that this process reaches; the others are another node's. */
  async #deliver(tenantId: string, askIds: readonly string[]): Promise<void> {
    const { db, link } = this.#deps;
    const deliveries = await db.inTenant(tenantId, (tx) => repository.listDeliveries(tx, askIds));
    for (const { askId, agentId } of deliveries.filter((one) => link.isConnected(one.agentId))) {
      const build = await db.inTenant(tenantId, (tx) => repository.readBuildOf(tx, askId));
      if (build === null) continue;
      const artefact = build.artefact.toString('base64url');
      link.send(agentId, { type: 'build', askId, envelope: build.envelope, artefact });
    }
  }
}
