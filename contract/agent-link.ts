import { Type, type Static } from 'typebox';
import { AgentVersion, BuildArtefact, buildCodes, buildOutcomes } from '#contract/builds.ts';
import { Envelope } from '#contract/dsse.ts';
import { Inventory } from '#contract/inventory.ts';
import { maxSamplesPerFrame, MetricSample, samplingPeriodS } from '#contract/metrics.ts';
import {
  Base64Url,
  Count,
  Instant,
  Line,
  OneOf,
  OrNull,
  Prose,
  Sha256Hex,
  Strict,
  Uuid,
} from '#contract/schema.ts';
import { orderSteps, ReleaseBundle } from '#contract/trust.ts';
import { VerbName } from '#contract/verbs.ts';

/** Largest frame either side accepts, bytes. Longer content is split by its sender. */
export const maxFrameBytes = 4_194_304;
/** Protocol spoken on the agents' WebSocket `/link`, negotiated as a subprotocol. */
export const linkProtocol = 'atlas-link.v1';

/** One command. Verb and arguments of a released command come from the signed target document, never from here. */
export const Command = Strict({
  commandId: Uuid,
  verb: VerbName,
  releaseId: OrNull(Uuid),
  runId: OrNull(Uuid),
  hostRunId: OrNull(Uuid),
  step: OrNull(OneOf(orderSteps)),
  /** Grows with every new owner of a host run; an agent refuses a lower one. */
  fence: Count,
});

const Servers = Type.Array(Type.String({ minLength: 1, maxLength: 300 }), { maxItems: 16 });

/** Server → agent. */
export const ServerFrame = Type.Union([
  Strict({
    type: Type.Literal('welcome'),
    serverTime: Instant,
    heartbeatS: Type.Integer({ minimum: 1, maximum: 600 }),
    /** Highest result sequence that the server holds durably for this agent. */
    resultsHeld: Count,
    /** Where the agent may connect when this connection ends: every node that is alive, this one included. */
    servers: Type.Optional(Servers),
  }),
  /** The same list when it changes: a node has joined or left. */
  Strict({ type: Type.Literal('servers'), servers: Servers }),
  Strict({ type: Type.Literal('release'), releaseId: Uuid, bundle: ReleaseBundle }),
  Strict({ type: Type.Literal('commands'), commands: Type.Array(Command, { minItems: 1, maxItems: 500 }) }),
  Strict({ type: Type.Literal('resultsHeld'), upTo: Count }),
  Strict({ type: Type.Literal('policy'), envelopes: Type.Array(Envelope, { minItems: 1, maxItems: 20 }) }),
  /** The current lock, or null when none was ever issued; sent with each heartbeat answer, so that the view stays fresh. */
  Strict({ type: Type.Literal('lock'), at: Instant, envelope: OrNull(Envelope) }),
  Strict({
    type: Type.Literal('checkpoint'),
    checkpoint: Type.String({ maxLength: 8192 }),
    proof: Type.Array(Sha256Hex, { maxItems: 64 }),
  }),
  Strict({ type: Type.Literal('certificate'), chainPem: Type.String({ maxLength: 20_000 }) }),
  Strict({ type: Type.Literal('refused'), code: Line(64), detail: Prose(500) }),
  /** Measure the host this often and send what was measured. An agent that was never asked sends no measures. */
  Strict({ type: Type.Literal('measure'), everyS: Type.Integer(samplingPeriodS) }),
  /** Become this version; the agent verifies the document by itself and says what came of it. */
  Strict({ type: Type.Literal('build'), askId: Uuid, envelope: Envelope, artefact: BuildArtefact }),
  /** The server holds what came of it: the agent need not say it again. */
  Strict({ type: Type.Literal('buildNoted'), askId: Uuid }),
]);

/** Agent → server. */
export const AgentFrame = Type.Union([
  Strict({
    type: Type.Literal('hello'),
    agentVersion: Line(40),
    bootId: Line(64),
    bootedAt: Instant,
    generation: Type.Integer({ minimum: 1 }),
    policyEpoch: Count,
    lockSerial: Count,
    /** Size of the last audit checkpoint that this agent has seen. */
    treeSize: Count,
    lastResultSeq: Count,
    /** Commands the agent has accepted and not yet finished. */
    openCommands: Type.Array(Uuid, { maxItems: 1000 }),
  }),
  Strict({
    type: Type.Literal('heartbeat'),
    at: Instant,
    bootId: Line(64),
    /** Cosignature line over the last checkpoint (C2SP tlog-cosignature), when a new one was verified. */
    cosignature: OrNull(
      Strict({ treeSize: Count, rootSha256: Sha256Hex, signature: Base64Url(200), at: Instant }),
    ),
    guardArmedUntil: OrNull(Instant),
    /** Epoch of the pinned policy document; the server shows which agents have taken the newest one. */
    policyEpoch: Type.Optional(Count),
  }),
  /** Signed results, DSSE envelopes of `ResultBatch`, in sequence: one signature for each envelope, however much it holds. */
  Strict({ type: Type.Literal('results'), envelopes: Type.Array(Envelope, { minItems: 1, maxItems: 50 }) }),
  /** Where a running command is: for people, not for decisions. */
  Strict({
    type: Type.Literal('progress'),
    commandId: Uuid,
    hostRunId: OrNull(Uuid),
    phase: Line(80),
    percent: OrNull(Type.Integer({ minimum: 0, maximum: 100 })),
    lines: Type.Array(Strict({ at: Instant, text: Prose(2000) }), { maxItems: 200 }),
  }),
  Strict({ type: Type.Literal('inventory'), inventory: Inventory }),
  /** Measures, oldest first. Nobody acknowledges them, signs them or decides by them. */
  Strict({
    type: Type.Literal('metrics'),
    samples: Type.Array(MetricSample, { minItems: 1, maxItems: maxSamplesPerFrame }),
    /** Samples that the agent has thrown away since its last frame, because too many waited. */
    dropped: Count,
  }),
  Strict({
    type: Type.Literal('renew'),
    csrPem: Type.String({ maxLength: 8192 }),
    /** The number that the new certificate will have: one more than the one in use (1 at enrolment). */
    generation: Type.Integer({ minimum: 1 }),
  }),
  Strict({ type: Type.Literal('alarm'), code: Line(64), detail: Prose(1000), at: Instant }),
  /** What came of a request to become another version; `running` is the version that says so. */
  Strict({
    type: Type.Literal('buildOutcome'),
    askId: Uuid,
    version: OrNull(AgentVersion),
    running: Line(40),
    outcome: OneOf(buildOutcomes),
    code: OneOf(buildCodes),
    detail: Prose(500),
  }),
]);

/** Body of `POST /enrol` on the enrolment listener. */
export const EnrolRequest = Strict({
  secret: Base64Url(128),
  csrPem: Type.String({ maxLength: 8192 }),
  resultPublicKey: Base64Url(256),
  hostname: Line(253),
  machineId: Sha256Hex,
  agentVersion: Line(40),
});

/**
 * Answer to an enrolment. `chainPem` is the agent's own certificate and its tenant's issuing authority, leaf first.
 * `caPem` is the installation's authority that signs the server's certificates, here and on `/link`: its DER hashes to the
 * token's `caSha256`, which the agent compares before it sends the secret. Policies are checked against `policySha256`.
 */
export const EnrolResponse = Strict({
  tenantId: Uuid,
  hostId: Uuid,
  agentId: Uuid,
  agentsUrl: Type.String({ maxLength: 300 }),
  chainPem: Type.String({ maxLength: 20_000 }),
  caPem: Type.String({ maxLength: 20_000 }),
  /** Every policy document since epoch 1, oldest first. */
  policies: Type.Array(Envelope, { minItems: 1, maxItems: 1000 }),
});

/** What an enrolment token says, as base64url JSON after the prefix `atlas-enrol-v1.`. */
export const EnrolToken = Strict({
  url: Type.String({ maxLength: 300 }),
  secret: Base64Url(128),
  /**
   * SHA-256 of the DER of the authority's certificate that signs the server's own. The server presents it, last in its
   * chain, so that the agent knows whom it speaks to before it sends the secret; and hands it over as `caPem`.
   */
  caSha256: Sha256Hex,
  /** SHA-256 of the epoch-1 policy document's payload bytes. */
  policySha256: Sha256Hex,
});
export const enrolTokenPrefix = 'atlas-enrol-v1.';

export type Command = Static<typeof Command>;
export type ServerFrame = Static<typeof ServerFrame>;
export type AgentFrame = Static<typeof AgentFrame>;
export type EnrolRequest = Static<typeof EnrolRequest>;
export type EnrolResponse = Static<typeof EnrolResponse>;
export type EnrolToken = Static<typeof EnrolToken>;
