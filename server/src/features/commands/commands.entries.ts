import { hash } from 'node:crypto';
import type { CommandResult } from '#contract/results.ts';
import type { AuditDraft } from '../../platform/audit/auditWriter.ts';
import { appendLeaves, emptyFrontier, frontierRoot } from '../../platform/audit/frontier.ts';
import { hashLeaf } from '../../platform/audit/merkle.ts';
import type { FrameDraft, ReadingDraft } from './commands.repository.ts';

/** Who asked for a command. */
export interface Principal {
  readonly kind: 'person' | 'apiKey' | 'system';
  readonly id: string | null;
}

/** A reading that was asked for, with the entry that will speak of it. */
export interface AskedReading {
  readonly draft: ReadingDraft;
  readonly principal: Principal;
}

/** Root of the Merkle tree (RFC 6962) over what an entry speaks of: with it, one entry proves every one of them. */
export function rootOver(leaves: readonly Uint8Array[]): Buffer {
  return rootOfHashes(leaves.map(hashLeaf));
}

/** The same, from the hashes of the leaves. */
export function rootOfHashes(leafHashes: readonly Buffer[]): Buffer {
  return frontierRoot(appendLeaves(emptyFrontier, leafHashes).frontier);
}

/** The leaf of a reading in the tree of its entry: RFC 8785 JSON of what the stored row says. */
export function readingLeaf({
  agentId,
  hostId,
  id,
  verb,
}: Pick<ReadingDraft, 'agentId' | 'hostId' | 'id' | 'verb'>): Buffer {
  return Buffer.from(JSON.stringify({ agentId, hostId, id, verb }));
}

function count(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

/**
 * One entry for all readings of a tenant that one principal asked for in this flush. Its digest is the root over
 * their leaves in the order of their identifiers.
 */
export function readingEntries(asked: readonly AskedReading[]): AuditDraft[] {
  const groups = Map.groupBy(asked, ({ draft }) => draft.entryId);
  return [...groups].flatMap(([entryId, members]) => {
    const [first] = members;
    if (first === undefined) return [];
    const drafts = members.map(({ draft }) => draft).sort((a, b) => (a.id < b.id ? -1 : 1));
    const { tenantId, id, agentId, hostId } = first.draft;
    const isOne = drafts.length === 1;
    return {
      entryId,
      tenantId,
      action: 'command.dispatched',
      actorKind: first.principal.kind,
      actorId: first.principal.id,
      subjectType: isOne ? 'command' : 'command_batch',
      subjectId: isOne ? id : null,
      outcome: 'ok',
      digest: rootOver(drafts.map(readingLeaf)).toString('hex'),
      details: {
        count: drafts.length,
        verbs: count(drafts.map(({ verb }) => verb)),
        ...(isOne ? { agentId, hostId } : {}),
      },
    };
  });
}

const auditOutcomes = { succeeded: 'ok', refused: 'refused', indeterminate: 'indeterminate' } as const;

function auditOutcome(outcome: CommandResult['outcome']): AuditDraft['outcome'] {
  return outcome in auditOutcomes ? auditOutcomes[outcome as keyof typeof auditOutcomes] : 'failed';
}

/**
 * Whose word a frame is. What came over SSH is called the runner's: the key lies on the host, but who can log in as its
 * root can use it, and this server can.
 */
function speakerOf({ agentId, isVisited }: Pick<FrameDraft, 'agentId' | 'isVisited'>) {
  return isVisited
    ? { actor: { actorKind: 'system', actorId: null } as const, said: { by: 'runner', agentId } }
    : { actor: { actorKind: 'agent', actorId: agentId } as const, said: {} };
}

/** The entry of one order's result. Its digest is the SHA-256 of the signed bytes in which the result stands. */
function orderEntry(frame: FrameDraft, result: CommandResult, digest: string): AuditDraft {
  const { verb, outcome, code, seq, hostRunId, step } = result;
  const { actor, said } = speakerOf(frame);
  return {
    tenantId: frame.tenantId,
    action: 'command.result',
    ...actor,
    subjectType: 'command',
    subjectId: result.commandId,
    outcome: auditOutcome(outcome),
    digest,
    details: { ...said, verb, outcome, code, seq, hostRunId, step },
  };
}

/** The order of the leaves: by agent, then by the last number of a frame. */
function byAgentAndNumber(one: FrameDraft, other: FrameDraft): number {
  if (one.agentId === other.agentId) return (one.fresh.at(-1)?.seq ?? 0) - (other.fresh.at(-1)?.seq ?? 0);
  return one.agentId < other.agentId ? -1 : 1;
}

/** One entry for all frames of a tenant in this flush that answer readings: its digest is the root over their payloads. */
function answersEntry(entryId: string, frames: readonly FrameDraft[]): AuditDraft[] {
  const sorted = [...frames].sort(byAgentAndNumber);
  const answers = sorted.flatMap(({ fresh }) => fresh.filter(({ hostRunId }) => hostRunId === null));
  const [frame] = sorted;
  const [answer] = answers;
  if (frame === undefined || answer === undefined) return [];
  const outcomes = count(answers.map(({ outcome }) => outcome));
  const isOne = answers.length === 1;
  const several = { actor: { actorKind: 'system', actorId: null } as const, said: {} };
  const speaker = sorted.length === 1 ? speakerOf(frame) : several;
  return [
    {
      entryId,
      tenantId: frame.tenantId,
      action: 'command.result',
      ...speaker.actor,
      subjectType: isOne ? 'command' : 'command_batch',
      subjectId: isOne ? answer.commandId : null,
      outcome: isOne ? auditOutcome(answer.outcome) : 'ok',
      digest: rootOver(sorted.map(({ payload }) => payload)).toString('hex'),
      details: { ...speaker.said, count: answers.length, frames: sorted.length, outcomes },
    },
  ];
}

/** The entries of what agents have answered: one for each order, and one for all readings of a tenant. */
export function answerEntries(frames: readonly FrameDraft[]): AuditDraft[] {
  const orders = frames.flatMap((frame) => {
    const ordered = frame.fresh.filter(({ hostRunId }) => hostRunId !== null);
    if (ordered.length === 0) return [];
    const digest = hash('sha256', frame.payload, 'hex');
    return ordered.map((result) => orderEntry(frame, result, digest));
  });
  const groups = Map.groupBy(
    frames.filter(({ entryId }) => entryId !== null),
    ({ entryId }) => entryId ?? '',
  );
  return [...orders, ...[...groups].flatMap(([entryId, members]) => answersEntry(entryId, members))];
}
