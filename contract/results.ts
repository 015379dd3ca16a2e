import { Type, type Static } from 'typebox';
import { Count, Instant, Line, OneOf, OrNull, Prose, Sha256Hex, Strict, Uuid } from '#contract/schema.ts';
import { VerbName } from '#contract/verbs.ts';
import { orderSteps } from '#contract/trust.ts';

/** How a command ended. `indeterminate` means that the host cannot tell: a person decides, nothing is run again. */
export const outcomes = ['succeeded', 'failed', 'refused', 'timeout', 'cancelled', 'indeterminate'] as const;
export type Outcome = (typeof outcomes)[number];

/**
 * Why a command did not succeed, or what is special about its success.
 * The first block is refusals by the agent's checks, in the order in which the agent makes them.
 */
export const resultCodes = [
  'ok',
  'nothing_to_do',
  'already_done',
  // refusals
  'too_large',
  'wrong_payload_type',
  'malformed',
  'wrong_epoch',
  'wrong_tenant',
  'bad_signature',
  'signer_unknown',
  'signer_not_entitled',
  'signer_is_requester',
  'threshold_not_met',
  'not_a_target',
  'verb_unknown',
  'args_invalid',
  'class_mismatch',
  'order_not_released',
  'clock_behind',
  'before_window',
  'after_window',
  'replayed',
  'fence_too_low',
  'step_out_of_order',
  'cap_exceeded',
  'locked',
  'lock_view_stale',
  'log_proof_missing',
  'log_went_back',
  // failures of the host
  'guard_missing',
  'guard_failed',
  'no_space',
  'package_lock_busy',
  'packages_drifted',
  'digest_mismatch',
  'network',
  'still_drained',
  'drain_failed',
  'undrain_failed',
  'package_failed',
  'dpkg_interrupted',
  'restart_required_first',
  'restart_not_proven',
  'restart_breaker',
  'check_failed',
  'rollback_failed',
  'unsupported',
  'crashed',
  'timed_out',
  'internal',
] as const;
export type ResultCode = (typeof resultCodes)[number];

/** What the verb found out; which members are present depends on the verb. */
export const ResultFacts = Strict({
  snapshotId: Type.Optional(Line(100)),
  snapshotUuid: Type.Optional(Line(64)),
  freeBytes: Type.Optional(Count),
  downloadedBytes: Type.Optional(Count),
  installed: Type.Optional(
    Type.Array(Strict({ name: Line(128), from: OrNull(Line(128)), to: OrNull(Line(128)) }), {
      maxItems: 2000,
    }),
  ),
  restartRequired: Type.Optional(Type.Boolean()),
  restartReasons: Type.Optional(Type.Array(Line(200), { maxItems: 50 })),
  servicesToRestart: Type.Optional(Type.Array(Line(200), { maxItems: 200 })),
  bootIdBefore: Type.Optional(Line(64)),
  bootIdAfter: Type.Optional(Line(64)),
  checks: Type.Optional(
    Type.Array(Strict({ check: Line(400), ok: Type.Boolean(), detail: Prose(1000), tookMs: Count }), {
      maxItems: 64,
    }),
  ),
  /** Measured phases of a rollback, milliseconds. */
  phasesMs: Type.Optional(Type.Record(Type.String({ maxLength: 40 }), Count)),
  /** Who decided the rollback: an order, the agent's own failed check, or the guardian after silence. */
  rollbackBy: Type.Optional(OneOf(['order', 'agent', 'guardian'])),
  rollbackReason: Type.Optional(Prose(1000)),
  pendingUpdates: Type.Optional(Count),
  /** Whether the host's work was away when the command had ended. */
  drained: Type.Optional(Type.Boolean()),
  /** Units that were running and were stopped for it. */
  drainedUnits: Type.Optional(Type.Array(Line(220), { maxItems: 16 })),
});

/** What came of one command, whole. */
export const CommandResult = Strict({
  v: Type.Literal(1),
  /** Per agent, grows by one for each result: gaps show. */
  seq: Type.Integer({ minimum: 1 }),
  agent: Uuid,
  host: Uuid,
  commandId: Uuid,
  verb: VerbName,
  releaseId: OrNull(Uuid),
  runId: OrNull(Uuid),
  hostRunId: OrNull(Uuid),
  step: OrNull(OneOf(orderSteps)),
  fence: Count,
  outcome: OneOf(outcomes),
  code: OneOf(resultCodes),
  detail: Prose(4000),
  facts: ResultFacts,
  startedAt: OrNull(Instant),
  endedAt: Instant,
  bootId: Line(64),
  /** SHA-256 of the agent's journal up to and including this result's entry. */
  journalHead: Sha256Hex,
});

/** A result inside a batch: what the batch says for all of them is not repeated, nor what has its usual value. */
const BatchedResult = Strict({
  seq: Type.Integer({ minimum: 1 }),
  commandId: Uuid,
  verb: VerbName,
  /** Absent: a reading, which belongs to no release. */
  order: Type.Optional(
    Strict({
      releaseId: OrNull(Uuid),
      runId: OrNull(Uuid),
      hostRunId: OrNull(Uuid),
      step: OrNull(OneOf(orderSteps)),
      fence: Count,
    }),
  ),
  outcome: OneOf(outcomes),
  code: OneOf(resultCodes),
  /** Absent: nothing to say. */
  detail: Type.Optional(Prose(4000)),
  /** Absent: none. */
  facts: Type.Optional(ResultFacts),
  startedAt: OrNull(Instant),
  endedAt: Instant,
  journalHead: Sha256Hex,
});

export const maxResultsPerBatch = 200;

/**
 * What an agent signs: the payload of a `results` envelope (Ed25519 key registered at enrolment). One signature covers
 * every result in it, so that checking one costs the same as checking two hundred; sequence numbers grow inside it.
 */
export const ResultBatch = Strict({
  v: Type.Literal(1),
  agent: Uuid,
  host: Uuid,
  bootId: Line(64),
  results: Type.Array(BatchedResult, { minItems: 1, maxItems: maxResultsPerBatch }),
});

export type ResultFacts = Static<typeof ResultFacts>;
export type CommandResult = Static<typeof CommandResult>;
export type ResultBatch = Static<typeof ResultBatch>;
type BatchedResult = Static<typeof BatchedResult>;

function toBatched(result: CommandResult): BatchedResult {
  const { seq, commandId, verb, releaseId, runId, hostRunId, step, fence } = result;
  const { outcome, code, detail, facts, startedAt, endedAt, journalHead } = result;
  const isReading =
    releaseId === null && runId === null && hostRunId === null && step === null && fence === 0;
  return {
    seq,
    commandId,
    verb,
    ...(isReading ? {} : { order: { releaseId, runId, hostRunId, step, fence } }),
    outcome,
    code,
    ...(detail === '' ? {} : { detail }),
    ...(Object.keys(facts).length === 0 ? {} : { facts }),
    startedAt,
    endedAt,
    journalHead,
  };
}

const reading = { releaseId: null, runId: null, hostRunId: null, step: null, fence: 0 } as const;

/** The batch of results of one boot of one agent, in the order given. Undefined when there is none. */
export function packResults(results: readonly CommandResult[]): ResultBatch | undefined {
  const [first] = results;
  if (first === undefined) return undefined;
  const { agent, host, bootId } = first;
  return { v: 1, agent, host, bootId, results: results.map(toBatched) };
}

/** The results of a batch, whole. */
export function unpackResults({ agent, host, bootId, results }: ResultBatch): CommandResult[] {
  return results.map(({ order, detail, facts, ...said }) => ({
    v: 1,
    agent,
    host,
    bootId,
    ...said,
    ...(order ?? reading),
    detail: detail ?? '',
    facts: facts ?? {},
  }));
}
