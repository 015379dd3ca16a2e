import { Type, type Static } from 'typebox';
import { AgentFrame, ServerFrame } from '#contract/agent-link.ts';
import { Envelope } from '#contract/dsse.ts';
import { Base64Url, Count, Line, OneOf, OrNull, Sha256Hex, Strict, Uuid } from '#contract/schema.ts';

/** Largest request or reply of one visit, bytes. What does not fit waits for the next one. */
export const maxVisitBytes = 8_388_608;
/** Longest time that a visit waits for something to tell, milliseconds. */
export const maxVisitWaitMs = 30_000;

/**
 * What the server's SSH runner says to the engine on a host, as JSON on its standard input.
 * `describe`: who are you; makes the key for results when there is none.
 * `adopt`: pins tenant, host and policy documents, as an enrolment does.
 * `take`, `give_back`: SSH or the host's own agent drives the engine from now on, never both.
 * `open`: a new conversation, answered by `hello`. `frames`: the same frames as on the agents' link, both ways.
 */
export const VisitRequest = Type.Union([
  Strict({ kind: Type.Literal('describe') }),
  Strict({
    kind: Type.Literal('adopt'),
    tenantId: Uuid,
    hostId: Uuid,
    agentId: Uuid,
    /** The identity that this one replaces; null when the host has none. Anything else is refused. */
    replaces: OrNull(Uuid),
    policySha256: Sha256Hex,
    policies: Type.Array(Envelope, { minItems: 1, maxItems: 1000 }),
  }),
  Strict({ kind: Type.Literal('take') }),
  Strict({ kind: Type.Literal('give_back') }),
  Strict({ kind: Type.Literal('open'), conversationId: Uuid }),
  Strict({
    kind: Type.Literal('frames'),
    conversationId: Uuid,
    frames: Type.Array(ServerFrame, { maxItems: 1000 }),
    waitMs: Type.Integer({ minimum: 0, maximum: maxVisitWaitMs }),
  }),
]);

/** What the engine answers: one line of JSON on its standard output. */
export const VisitReply = Type.Union([
  Strict({
    kind: Type.Literal('described'),
    hostname: Line(253),
    machineId: Sha256Hex,
    agentVersion: Line(40),
    /** SubjectPublicKeyInfo of the Ed25519 key with which results are signed on this host. */
    resultPublicKey: Base64Url(256),
    agentId: OrNull(Uuid),
    tenantId: OrNull(Uuid),
    /** An agent of the package is installed on the host, and whether it runs. */
    agentService: OneOf(['absent', 'stopped', 'running']),
  }),
  Strict({ kind: Type.Literal('done') }),
  Strict({
    kind: Type.Literal('frames'),
    frames: Type.Array(AgentFrame, { maxItems: 2000 }),
    /** Commands are open or a guard is armed: come back at once. */
    busy: Type.Boolean(),
  }),
  /** `no_conversation`: the engine has started again since; `wrong_identity`: another identity is on the host. */
  Strict({
    kind: Type.Literal('refused'),
    code: OneOf([
      'malformed',
      'not_adopted',
      'no_conversation',
      'wrong_identity',
      'policy_wrong',
      'agent_in_charge',
      'engine_failed',
    ]),
    detail: Line(500),
  }),
]);

/** Names the engine that a server brings along: the folder on the host, and the archive's digest. */
export const EngineManifest = Strict({
  v: Type.Literal(1),
  digest: Type.String({ pattern: '^[0-9a-f]{16}$' }),
  version: Line(40),
  archive: Type.String({ pattern: '^engine-[0-9a-f]{16}\\.tgz$' }),
  bytes: Count,
});

export type VisitRequest = Static<typeof VisitRequest>;
export type VisitReply = Static<typeof VisitReply>;
export type EngineManifest = Static<typeof EngineManifest>;
