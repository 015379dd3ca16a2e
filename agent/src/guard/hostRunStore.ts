import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { Value } from 'typebox/value';
import { Count, OneOf, OrNull, Strict, Type, Uuid } from '#contract/schema.ts';
import type { Static } from '#contract/schema.ts';
import { readJson, writeDurably } from '../state/durableFile.ts';

/** What the agent knows of the guard of one host run. Instants in milliseconds. */
const HostRunRecord = Strict({
  v: Type.Literal(1),
  hostRunId: Uuid,
  releaseId: Uuid,
  runId: Uuid,
  fence: Count,
  tier: OneOf(['btrfs', 'none']),
  snapshotPath: OrNull(Type.String()),
  snapshotUuid: OrNull(Type.String()),
  /** Subvolume that was the root when the snapshot was taken. */
  rootId: OrNull(Count),
  confirmWithinS: Count,
  silentS: Count,
  state: OneOf(['guarded', 'committed', 'rolled_back', 'rollback_failed']),
  installedAtMs: OrNull(Count),
  verifyFailedAtMs: OrNull(Count),
  verifyFailure: OrNull(Type.String()),
  verifiedAtMs: OrNull(Count),
  /** When the snapshot may be removed; null while it is needed. */
  expiresAtMs: OrNull(Count),
});
export type HostRunRecord = Static<typeof HostRunRecord>;

/** One small file a host run. */
export class HostRunStore {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async put(record: HostRunRecord): Promise<void> {
    await writeDurably(path.join(this.#directory, `${record.hostRunId}.json`), JSON.stringify(record));
  }

  async get(hostRunId: string): Promise<HostRunRecord | null> {
    const stored = await readJson(path.join(this.#directory, `${hostRunId}.json`));
    return Value.Check(HostRunRecord, stored) ? stored : null;
  }

  /** Changes what is known; nothing when the run is unknown. */
  async update(hostRunId: string, change: Partial<HostRunRecord>): Promise<void> {
    const record = await this.get(hostRunId);
    if (record) await this.put({ ...record, ...change });
  }

  async list(): Promise<HostRunRecord[]> {
    const names = (await readdir(this.#directory)).filter((name) => name.endsWith('.json'));
    const records = await Promise.all(names.map((name) => this.get(name.slice(0, -'.json'.length))));
    return records.filter((record) => record !== null);
  }

  async remove(hostRunId: string): Promise<void> {
    await rm(path.join(this.#directory, `${hostRunId}.json`), { force: true });
  }
}
