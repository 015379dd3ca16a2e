import type { AuditVerification } from '#contract/audit.ts';
import type { Db } from '../db.ts';
import { logOrigin, openCheckpoint } from './checkpoint.ts';
import { verifyCosignature } from './cosignature.ts';
import { latestCheckpoint } from './logReader.ts';
import { countRows, readTileHashes, readWitnessRows, type WitnessRow } from './logRows.ts';
import { emptyRoot } from './merkle.ts';
import { splitHashes, tileWidth } from './tiles.ts';
import { walkLog, type Fault, type Walk } from './verifyTree.ts';

export interface VerifyLogRequest {
  readonly db: Db;
  readonly tenantId: string;
  readonly publicKeySpki: Buffer;
  /** Checkpoints that were kept outside the database: signed notes and where they were. Read before the call. */
  readonly kept: readonly { readonly note: string; readonly where: string }[];
}

/** What somebody outside the database says about the log: `valid` when the signature on it holds. */
interface Claim {
  readonly who: string;
  readonly size: number;
  readonly root: Buffer;
  readonly isValid: boolean;
}

interface Found {
  readonly detail: string;
  /** Present when the step failed; its place is null when nothing can be named. */
  readonly fault?: Fault | null;
}

/**
 * Recomputes a tenant's whole log and compares it with every stored checkpoint, tile, cosignature and kept checkpoint.
 * Reads in short transactions; entries sealed meanwhile are left to the next verification.
 */
export async function verifyLog(request: VerifyLogRequest): Promise<AuditVerification> {
  const { db, tenantId, publicKeySpki } = request;
  // Claims are read before the head: the log may grow in between, never shrink.
  const keptClaims = request.kept.map((kept) => openKept(kept, request));
  const witnessClaims = (await readWitnessRows(db, tenantId)).map((row) => openWitness(row, tenantId));
  const latest = await db.inTenant(tenantId, (tx) => latestCheckpoint(tx, tenantId));
  const size = latest?.size ?? 0;
  const marks = [...keptClaims, ...witnessClaims].map((claim) => claim.size);

  const steps: AuditVerification['steps'] = [];
  const faults: Fault[] = [];
  const step = async (name: string, check: () => Promise<Found> | Found): Promise<void> => {
    const beganAt = performance.now();
    const { detail, fault } = await check();
    steps.push({
      step: name,
      ok: fault === undefined,
      detail,
      tookMs: Math.round(performance.now() - beganAt),
    });
    if (fault) faults.push(fault);
  };

  let walk: Walk | undefined;
  await step('entries', async () => {
    walk = await walkLog({ db, tenantId, publicKeySpki, size }, marks);
    return foundIn(
      walk.entryFault,
      `${walk.size} entries hashed again, each is what was sealed at its place`,
    );
  });
  const walked = walk as Walk;
  await step('tree', () => foundIn(walked.treeFault, `${walked.checkpoints} signed checkpoints reproduced`));
  await step('tiles', () => checkTiles(request, walked));
  await step('witnesses', () => checkClaims(witnessClaims, { walk: walked, size }));
  await step('kept', () => checkClaims(keptClaims, { walk: walked, size }));
  await step('completeness', () => checkCompleteness(request));
  return {
    ok: steps.every(({ ok }) => ok),
    size,
    rootSha256: (latest?.root ?? emptyRoot).toString('hex'),
    steps,
    firstBad: faults.sort((a, b) => a.index - b.index)[0] ?? null,
  };
}

function foundIn(fault: Fault | null, fine: string): Found {
  return fault === null ? { detail: fine } : { detail: `entry ${fault.index}: ${fault.reason}`, fault };
}

function openKept(kept: { note: string; where: string }, request: VerifyLogRequest): Claim {
  const expected = { origin: logOrigin(request.tenantId), publicKeySpki: request.publicKeySpki };
  try {
    const { size, root } = openCheckpoint(kept.note, expected);
    return { who: kept.where, size, root, isValid: true };
  } catch {
    // An unreadable outside copy proves nothing about the log, but somebody must look at it.
    return { who: kept.where, size: 0, root: emptyRoot, isValid: false };
  }
}

function openWitness(row: WitnessRow, tenantId: string): Claim {
  const head = { origin: logOrigin(tenantId), size: row.size, root: row.root };
  const witness = { agentId: row.agentId, publicKeySpki: row.publicKey };
  const isValid = verifyCosignature(head, row.signature, witness) !== undefined;
  return { who: `agent ${row.agentId}`, size: row.size, root: row.root, isValid };
}

/** Compares what outsiders have seen with the tree. A rewriting is somewhere after the last claim that still agrees. */
function checkClaims(claims: readonly Claim[], log: { walk: Walk; size: number }): Found {
  let agreedUpTo = 0;
  for (const claim of [...claims].sort((a, b) => a.size - b.size)) {
    if (!claim.isValid) {
      return { detail: `what ${claim.who} has signed was altered: its signature does not hold`, fault: null };
    }
    if (claim.size > log.size) {
      const reason = `${claim.who} has seen ${claim.size} entries, the log has ${log.size}: its end was cut off`;
      return foundIn({ index: log.size, entryId: null, reason }, '');
    }
    const root = log.walk.rootsAt.get(claim.size);
    // The walk ended before this size: the step that ended it has said why.
    if (root === undefined) continue;
    if (!root.equals(claim.root)) {
      const reason = `${claim.who} has seen other entries among ${agreedUpTo} to ${claim.size - 1}: the log was rewritten or shown in two versions`;
      return foundIn({ index: agreedUpTo, entryId: null, reason }, '');
    }
    agreedUpTo = claim.size;
  }
  return { detail: claims.length === 0 ? 'nobody outside has seen this log yet' : `${claims.length} agree` };
}

async function checkTiles(request: VerifyLogRequest, walk: Walk): Promise<Found> {
  for (const tile of walk.fullTiles) {
    const stored = await readTileHashes(request.db, request.tenantId, tile);
    const span = tileWidth ** tile.level;
    const begin = tile.index * tileWidth * span;
    if (stored === undefined) {
      return foundIn(
        { index: begin, entryId: null, reason: `tile ${tile.level}/${tile.index} was deleted` },
        '',
      );
    }
    if (stored.hashes.equals(tile.hashes) && stored.root.equals(tile.root)) continue;
    const right = splitHashes(tile.hashes);
    const at = splitHashes(stored.hashes).findIndex((hash, place) => right[place]?.equals(hash) !== true);
    const index = begin + Math.max(0, at) * span;
    return foundIn({ index, entryId: null, reason: `tile ${tile.level}/${tile.index} was changed` }, '');
  }
  return { detail: `${walk.fullTiles.length} full tiles agree` };
}

async function checkCompleteness(request: VerifyLogRequest): Promise<Found> {
  const { entries, leaves, pending, beyond } = await countRows(request.db, request.tenantId);
  if (beyond !== null) {
    return foundIn({ index: beyond, entryId: null, reason: 'this place is beyond every checkpoint' }, '');
  }
  const astray = entries - leaves - pending;
  if (astray !== 0) {
    const what = astray > 0 ? 'are neither sealed nor waiting' : 'are missing';
    return { detail: `${Math.abs(astray)} entries ${what}`, fault: null };
  }
  return { detail: `${leaves} entries sealed, ${pending} waiting` };
}
