import type { AuditEntry, AuditProof, AuditState, AuditVerification } from '#contract/audit.ts';
import type { ReleaseBundle } from '#contract/trust.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import { logOrigin, logVerifierKey } from '../../platform/audit/checkpoint.ts';
import { cosignatureLine } from '../../platform/audit/cosignature.ts';
import type { HeadMemory } from '../../platform/audit/headMemory.ts';
import {
  countPending,
  latestCheckpoint,
  leafAt,
  proveGrowth,
  proveLeaf,
  readLeaves,
  tilesOf,
} from '../../platform/audit/logReader.ts';
import { emptyRoot } from '../../platform/audit/merkle.ts';
import type { Sealer } from '../../platform/audit/sealer.ts';
import {
  encodeEntryBundle,
  hashesAtTileLevel,
  parseLogFilePath,
  tileWidth,
} from '../../platform/audit/tiles.ts';
import { verifyLog } from '../../platform/audit/verifyLog.ts';
import { recordCosignature, type Cosignature, type WitnessVerdict } from '../../platform/audit/witnesses.ts';
import { toInstant } from '../../platform/clock.ts';
import type { Db, TenantTx } from '../../platform/db.ts';
import { AppError, found } from '../../platform/errors.ts';
import { byId, pageOf, type IdPage } from '../../platform/page.ts';
import { namesOf } from './audit.read-model.ts';
import { listEntries, listWitnesses, type EntryFilter } from './audit.repository.ts';

/** What the audit feature needs; main.ts hands it over. */
export interface AuditDeps {
  readonly db: Db;
  readonly writer: AuditWriter;
  readonly sealer: Sealer;
  readonly memory: HeadMemory;
  /** SubjectPublicKeyInfo of the installation's log key. */
  readonly publicKeySpki: Buffer;
  /** Compares what entries speak of with what is stored of it: the log proves its entries, this the rest. */
  readonly evidence: (tenantId: string) => Promise<{
    readonly checked: number;
    readonly firstBad: AuditVerification['firstBad'];
  }>;
  /** Words that people compare by voice, from a hexadecimal digest. */
  readonly words: (sha256: string) => readonly string[];
}

/** Who asks for a verification. */
interface Actor {
  readonly kind: 'person' | 'apiKey' | 'system';
  readonly id: string | null;
}

const sealTimeoutMs = 10_000;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

export class AuditService {
  readonly #deps: AuditDeps;
  readonly #verifying = new Map<string, Promise<AuditVerification>>();

  constructor(deps: AuditDeps) {
    this.#deps = deps;
  }

  /** A page of entries, newest first, with the names that people and things have now. */
  async list(
    tenantId: string,
    query: EntryFilter & IdPage,
  ): Promise<{ items: AuditEntry[]; nextCursor: string | null; total: number | null }> {
    const { before, limit, ...filter } = query;
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const rows = await listEntries(tx, filter, { before, limit });
      const ids = rows.flatMap(({ leaf }) => [leaf.actorId, leaf.subjectId]).filter((id) => id !== null);
      const names = await namesOf(tx, ids);
      return pageOf(rows, limit, {
        item: ({ index, leaf }): AuditEntry => ({
          index,
          leaf,
          actorName: names.get(leaf.actorId ?? '') ?? null,
          subjectName: names.get(leaf.subjectId ?? '') ?? null,
        }),
        keys: byId,
        total: await this.#total(tx, tenantId, filter),
      });
    });
  }

  /** Entries in the log; null when only some of them match, which would take a count. */
  async #total(tx: TenantTx, tenantId: string, filter: EntryFilter): Promise<number | null> {
    const { action, actorId, subjectId, from, to } = filter;
    if ([action, actorId, subjectId, from, to].some((condition) => condition !== undefined)) return null;
    const head = await latestCheckpoint(tx, tenantId);
    return (head?.size ?? 0) + (await countPending(tx, tenantId));
  }

  /** The log's newest checkpoint and who has seen which. */
  async state(tenantId: string): Promise<AuditState> {
    const { db, publicKeySpki, words } = this.#deps;
    return db.inTenant(tenantId, async (tx) => {
      const head = await latestCheckpoint(tx, tenantId);
      const rootSha256 = hex(head?.root ?? emptyRoot);
      const witnesses = await listWitnesses(tx);
      return {
        origin: logOrigin(tenantId),
        size: head?.size ?? 0,
        unsealed: await countPending(tx, tenantId),
        rootSha256,
        checkpoint: head?.note ?? '',
        checkpointAt: head === undefined ? null : toInstant(head.at),
        words: [...words(rootSha256)],
        witnesses: witnesses.map(({ agentId, hostname, treeSize, at, agrees }) => ({
          agentId,
          hostname: hostname ?? agentId,
          treeSize,
          at: toInstant(at),
          agrees,
        })),
        publicKey: logVerifierKey(tenantId, publicKeySpki),
      };
    });
  }

  /** The entry at a place with its path to the newest checkpoint. Errors: not_found. */
  async proof(tenantId: string, index: number): Promise<AuditProof> {
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const leaf = found(await leafAt(tx, tenantId, index));
      const proved = found(await proveLeaf(tx, tenantId, leaf));
      return {
        index,
        leaf: proved.leaf.toString('utf8'),
        leafHash: hex(proved.hash),
        proof: proved.proof.map(hex),
        checkpoint: proved.checkpoint.note,
      };
    });
  }

  /** Recomputes the whole log and records what came out. Several callers share one verification of a tenant. */
  async verify(tenantId: string, actor: Actor): Promise<AuditVerification> {
    const { db, writer } = this.#deps;
    const running = this.#verifying.get(tenantId) ?? this.#recompute(tenantId);
    this.#verifying.set(tenantId, running);
    const result = await running;
    await db.inTenant(tenantId, (tx) =>
      writer.record(tx, {
        action: 'audit.verified',
        actorKind: actor.kind,
        actorId: actor.id,
        subjectType: 'audit_log',
        subjectId: null,
        outcome: result.ok ? 'ok' : 'failed',
        digest: result.rootSha256,
        details: {
          size: result.size,
          failed: result.steps.filter((step) => !step.ok).map((step) => step.step),
          firstBad: result.firstBad?.index ?? null,
        },
      }),
    );
    return result;
  }

  async #recompute(tenantId: string): Promise<AuditVerification> {
    const { db, memory, publicKeySpki } = this.#deps;
    try {
      const note = await memory.read(tenantId);
      const kept = note === null ? [] : [{ note, where: 'the checkpoint kept on disk' }];
      return await this.#withEvidence(tenantId, await verifyLog({ db, tenantId, publicKeySpki, kept }));
    } finally {
      this.#verifying.delete(tenantId);
    }
  }

  async #withEvidence(tenantId: string, log: AuditVerification): Promise<AuditVerification> {
    const beganAt = performance.now();
    const { checked, firstBad } = await this.#deps.evidence(tenantId);
    const detail =
      firstBad === null
        ? `${checked} entries: what they speak of is stored as it was recorded`
        : `entry ${firstBad.index}: ${firstBad.reason}`;
    const tookMs = Math.round(performance.now() - beganAt);
    return {
      ...log,
      ok: log.ok && firstBad === null,
      steps: [...log.steps, { step: 'evidence', ok: firstBad === null, detail, tookMs }],
      firstBad: log.firstBad ?? firstBad,
    };
  }

  /** Records that the log was copied out of the server by whoever runs its program. */
  async recordExport(
    tenantId: string,
    exported: { readonly size: number; readonly rootSha256: string },
  ): Promise<void> {
    await this.#deps.db.inTenant(tenantId, (tx) =>
      this.#deps.writer.record(tx, {
        action: 'audit.exported',
        actorKind: 'system',
        actorId: null,
        subjectType: 'audit_log',
        subjectId: null,
        outcome: 'ok',
        digest: exported.rootSha256,
        details: { size: exported.size },
      }),
    );
  }

  /** A file of the log as C2SP tlog-tiles lays it out. Errors: not_found, also for what the log is still too short for. */
  async file(tenantId: string, path: string): Promise<Uint8Array> {
    const file = found(parseLogFilePath(path));
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const head = found(await latestCheckpoint(tx, tenantId));
      if (file.kind === 'checkpoint') {
        return Buffer.from(head.note + (await cosignatures(tx, head)));
      }
      const first = file.index * tileWidth;
      const level = file.kind === 'tile' ? file.level : 0;
      if (first + file.width > hashesAtTileLevel(head.size, level)) throw new AppError('not_found');
      return file.kind === 'tile'
        ? tilesOf(tx, tenantId)(level, file.index, file.width)
        : encodeEntryBundle(await readLeaves(tx, tenantId, { first, count: file.width }));
    });
  }

  /**
   * What an agent needs to see that an entry is in the log: waits until it is sealed.
   * Errors: audit_unavailable when that takes longer than ten seconds or the log is halted.
   */
  async seal(tenantId: string, entryId: string): Promise<ReleaseBundle['audit']> {
    const proved = await this.#deps.sealer.sealed(tenantId, entryId, { timeoutMs: sealTimeoutMs });
    return {
      leaf: proved.leaf.toString('base64url'),
      leafIndex: proved.index,
      proof: proved.proof.map(hex),
      checkpoint: proved.checkpoint.note,
    };
  }

  /** The newest checkpoint for an agent that has seen `fromSize` entries; null when there is nothing newer to see. */
  async checkpointAfter(
    tenantId: string,
    fromSize: number,
  ): Promise<{ checkpoint: string; size: number; proof: string[] } | null> {
    return this.#deps.db.inTenant(tenantId, async (tx) => {
      const growth = await proveGrowth(tx, tenantId, fromSize);
      if (growth === undefined || growth.checkpoint.size === fromSize) return null;
      const { note, size } = growth.checkpoint;
      return { checkpoint: note, size, proof: growth.proof.map(hex) };
    });
  }

  /** Keeps what an agent has cosigned; a disagreement raises an alarm in the log. */
  async witness(tenantId: string, seen: Cosignature): Promise<WitnessVerdict> {
    const { db, writer } = this.#deps;
    return db.inTenant(tenantId, (tx) => recordCosignature(tx, { writer, tenantId }, seen));
  }
}

/** Lines of the agents that have cosigned exactly this checkpoint. */
async function cosignatures(tx: TenantTx, head: { size: number; root: Buffer }): Promise<string> {
  const witnesses = await listWitnesses(tx);
  return witnesses
    .filter(({ treeSize, root }) => treeSize === head.size && root.equals(head.root))
    .slice(0, 90)
    .map(({ agentId, signature }) => cosignatureLine(agentId, signature))
    .join('');
}
