import { Type, type Static } from 'typebox';
import { Count, Instant, Line, OneOf, OrNull, Sha256Hex, Strict } from '#contract/schema.ts';

/** An update that the host's own package manager offers now. */
export const PendingUpdate = Strict({
  name: Line(128),
  arch: Line(32),
  fromVersion: OrNull(Line(128)),
  version: Line(128),
  origin: Line(300),
  security: Type.Boolean(),
  downloadBytes: Count,
  /** Digest of the package file as the signed repository index states it; null when the index does not. */
  sha256: OrNull(Sha256Hex),
});

/** Facts about one host, read by its agent from a fixed list of sources. */
export const Inventory = Strict({
  collectedAt: Instant,
  hostname: Line(253),
  os: Strict({
    family: OneOf(['debian', 'rhel', 'suse', 'windows', 'other']),
    id: Line(64),
    name: Line(200),
    version: Line(64),
    kernel: Line(128),
    arch: Line(32),
  }),
  hardware: Strict({
    vendor: OrNull(Line(200)),
    model: OrNull(Line(200)),
    virtual: OrNull(Line(64)),
    cpu: OrNull(Line(200)),
    cores: Count,
    memoryBytes: Count,
  }),
  disks: Type.Array(Strict({ mount: Line(300), fs: Line(40), sizeBytes: Count, freeBytes: Count }), {
    maxItems: 100,
  }),
  addresses: Type.Array(Line(64), { maxItems: 100 }),
  bootId: Line(64),
  bootedAt: Instant,
  packageManager: OrNull(OneOf(['apt', 'dnf', 'zypper'])),
  /** Which rollback this host can offer: btrfs snapshot of the root, or none. */
  guardTier: OneOf(['btrfs', 'none']),
  guardReason: Line(300),
  restartRequired: Type.Boolean(),
  restartReasons: Type.Array(Line(200), { maxItems: 50 }),
  failedUnits: Type.Array(Line(200), { maxItems: 200 }),
  services: Type.Array(Line(200), { maxItems: 1000 }),
  updates: Type.Array(PendingUpdate, { maxItems: 5000 }),
  /** Null when the package lists were read; otherwise why they could not be. */
  updatesError: OrNull(Line(500)),
});

export type PendingUpdate = Static<typeof PendingUpdate>;
export type Inventory = Static<typeof Inventory>;
