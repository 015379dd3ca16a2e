import { randomBytes } from 'node:crypto';
import { digestWords } from '#contract/words.ts';
import { createAgentsModule } from '../server/src/features/agents/agents.module.ts';
import { createAuditModule } from '../server/src/features/audit/audit.module.ts';
import { checkEvidence } from '../server/src/features/commands/commands.evidence.ts';
import type { CommandsService } from '../server/src/features/commands/commands.service.ts';
import { createSequencer, eventTopic } from '../server/src/features/events/events.sequencer.ts';
import { createTrustModule } from '../server/src/features/trust/trust.module.ts';
import { createHostsHandlers } from '../server/src/main.hosts.ts';
import type { AgentLink } from '../server/src/hosts/agent-link/agentLink.ts';
import type { HostsHandlers } from '../server/src/hosts/port.ts';
import { logOrigin } from '../server/src/platform/audit/checkpoint.ts';
import { createOutbox, type OutboxDraft } from '../server/src/platform/outbox.ts';
import { createSecretStore } from '../server/src/platform/secrets.ts';
import { newId } from '../server/src/platform/ids.ts';
import { heartbeatS, type Audited } from './product.ts';

interface Parts {
  readonly audited: Audited;
  readonly system: { readonly connectionString: string };
  readonly link: AgentLink;
  readonly commands: CommandsService;
}

type Event = { type: string; subjectId: string | null; data: object };

function absent(what: string): () => Promise<never> {
  return () => Promise.reject(new Error(`there is no ${what} in a benchmark`));
}

/**
 * What the product does when an agent connects, as its main composes it: recognised by its certificate, noted, told to
 * screens, given what waits for it. There are no runs, so that nobody looks whether the agent is in one.
 */
export function openHosts({ audited, system, link, commands }: Parts) {
  const { db, audit, sealer, clock, log, publicKeySpki, memory } = audited;
  const outbox = createOutbox({ db, log, clock, session: system });
  outbox.subscribe(createSequencer(() => undefined));
  const draft = ({ type, subjectId, data }: Event): OutboxDraft => ({
    topic: eventTopic,
    payload: { type, subjectId, data } as OutboxDraft['payload'],
  });
  const base = {
    ...{ db, audit, clock, newId, log },
    emit: (tx, event) => outbox.publish(tx, [draft(event)]),
    emitAll: (tx, events) =>
      outbox.publish(
        tx,
        events.map((event) => ({ ...draft(event), tenantId: event.tenantId })),
      ),
  } satisfies Partial<Parameters<typeof createAgentsModule>[0]>;
  const trust = createTrustModule({
    ...base,
    publicUrl: 'https://bench.invalid',
    auditLog: (tenantId) =>
      Promise.resolve({ origin: logOrigin(tenantId), publicKey: publicKeySpki.toString('base64url') }),
  });
  const agents = createAgentsModule({
    ...base,
    secrets: createSecretStore(db, randomBytes(32)),
    trust: { chain: (tx) => trust.service.chain(tx) },
    fleet: { registerHost: absent('enrolment') },
    enrolUrl: () => '',
    agentsUrl: () => '',
    serverNames: [],
    offlineDirectory: '',
  });
  const auditModule = createAuditModule({
    ...{ db, writer: audit, sealer, memory, publicKeySpki, words: digestWords },
    evidence: (tenantId) => checkEvidence(db, tenantId),
  });
  const handlers: HostsHandlers = createHostsHandlers({
    ...{ db, clock, log, link, heartbeatS, agents, trust, commands },
    addresses: () => [],
    nodes: { tell: () => undefined, hear: () => undefined, missed: () => undefined },
    fleet: { recordInventory: absent('inventory') },
    // Simulated agents stay what they are.
    builds: { receive: () => Promise.resolve() },
    // Simulated agents measure nothing, whatever they are asked.
    ...{ measureEveryS: 60, metrics: { record: () => undefined } },
    audit: auditModule.service,
    runs: {
      agentConnected: () => Promise.resolve(),
      heard: () => undefined,
      progress: () => undefined,
      lockChanged: () => Promise.resolve(),
    },
    resultKeyOf: (tenantId, agentId) => agents.service.resultKeyOf(tenantId, agentId),
  });
  outbox.start();
  return { handlers, agents: agents.service, outbox };
}
