import { readFile } from 'node:fs/promises';
import { writeDurably } from '../state/durableFile.ts';
import { AppendFile } from './appendFile.ts';
import { decodeJournal, emptyHead, encodeFrame } from './frames.ts';
import { JournalIndex } from './journal.index.ts';
import type { JournalRecord } from './journal.record.ts';

const compactionBytes = 8 << 20;

/** Records whose loss would let something happen twice or vanish. */
const durableKinds: ReadonlySet<JournalRecord['t']> = new Set(['received', 'started', 'done', 'restart']);

async function readOrEmpty(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}

/** Records that must survive a compaction: open commands, results not held, and ids that may still be replayed. */
function recordsToKeep(index: JournalIndex, head: string, nowMs: number): JournalRecord[] {
  const kept: JournalRecord[] = [
    { t: 'base', previousHead: head, lastSeq: index.lastSeq, heldUpTo: index.heldUpTo },
  ];
  const dayAgo = nowMs - 86_400_000;
  for (const at of index.restarts) if (Date.parse(at) > dayAgo) kept.push({ t: 'restart', at, why: 'kept' });
  for (const [commandId, entry] of index.commands) {
    const isUnheld = entry.result !== null && index.unheld.has(entry.result.seq);
    const keepUntilMs =
      Date.parse(entry.keepUntil ?? entry.receivedAt) + (entry.keepUntil === null ? 86_400_000 : 0);
    if (entry.state === 'done' && !isUnheld && keepUntilMs < nowMs) continue;
    kept.push({ t: 'received', at: entry.receivedAt, command: entry.command });
    if (entry.keepUntil !== null) kept.push({ t: 'verified', commandId, keepUntil: entry.keepUntil });
    if (entry.startedAt !== null && entry.intent !== null)
      kept.push({ t: 'started', commandId, at: entry.startedAt, intent: entry.intent });
    if (entry.result !== null) {
      const { journalHead, ...result } = entry.result;
      kept.push({ t: 'done', commandId, result, journalHead });
    }
  }
  return kept;
}

/**
 * The agent's memory of what it was told and what it did: append-only, hash-chained, flushed before each effect.
 * It promises that no command id runs twice. It never forgets an id that a signed window could still carry.
 */
export class Journal {
  readonly index = new JournalIndex();
  /** Bytes of an unfinished frame that were dropped at the start. */
  readonly tornBytes: number;
  readonly #file: AppendFile;
  #head: Buffer;

  private constructor(file: AppendFile, tornBytes: number) {
    this.#file = file;
    this.#head = emptyHead;
    this.tornBytes = tornBytes;
  }

  /** @throws JournalCorrupt when the file was changed by anything but a crash. */
  static async open(path: string, nowMs: number): Promise<Journal> {
    let bytes = await readOrEmpty(path);
    if (decodeJournal(bytes).soundBytes > compactionBytes) bytes = await Journal.#compact(path, bytes, nowMs);
    const decoded = decodeJournal(bytes);
    const file = await AppendFile.open(path, decoded.soundBytes);
    const journal = new Journal(file, bytes.length - decoded.soundBytes);
    journal.#replay(decoded.frames);
    return journal;
  }

  static async #compact(path: string, bytes: Buffer, nowMs: number): Promise<Buffer> {
    const index = new JournalIndex();
    let oldHead = emptyHead.toString('hex');
    for (const frame of decodeJournal(bytes).frames) {
      oldHead = frame.head.toString('hex');
      index.apply(JSON.parse(frame.payload.toString('utf8')) as JournalRecord, oldHead);
    }
    let head: Buffer = emptyHead;
    const frames = recordsToKeep(index, oldHead, nowMs).map((record) => {
      const frame = encodeFrame(Buffer.from(JSON.stringify(record)), head);
      head = frame.head;
      return frame.bytes;
    });
    const compacted = Buffer.concat(frames);
    await writeDurably(path, compacted);
    return compacted;
  }

  #replay(frames: readonly { payload: Buffer; head: Buffer }[]): void {
    for (const { payload, head } of frames) {
      this.index.apply(JSON.parse(payload.toString('utf8')) as JournalRecord, head.toString('hex'));
      this.#head = head;
    }
  }

  /** Resolves when the disk has refused a record: from then on nothing can be promised before the file is read anew. */
  get failed(): Promise<Error> {
    return this.#file.failed;
  }

  /** Hash of everything written so far, hex. */
  get head(): string {
    return this.#head.toString('hex');
  }

  /** Appends a record; resolves when it is as durable as its kind demands. The index changes at once. */
  async append(record: JournalRecord): Promise<void> {
    const frame = encodeFrame(Buffer.from(JSON.stringify(record)), this.#head);
    this.#head = frame.head;
    const written = this.#file.append(frame.bytes, durableKinds.has(record.t));
    this.index.apply(record, this.head);
    await written;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}
