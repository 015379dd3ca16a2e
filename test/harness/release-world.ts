import { createHash, randomUUID } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { Command } from '#contract/agent-link.ts';
import { payloadTypes } from '#contract/dsse.ts';
import type {
  Order,
  PolicyDocument,
  ReleaseBundle,
  ReleaseDocument,
  TargetDocument,
} from '#contract/trust.ts';
import { verbCatalogueText } from '#contract/verbs.ts';
import { inclusionProof, signCheckpoint, treeRoot } from './merkle-tree.ts';
import { createEd25519Key, createWebAuthnKey, signEnvelope } from './software-key.ts';
import type { SoftwareKey } from './software-key.ts';

/** A tenant with its people and keys, for tests that need something validly released. */
export interface World {
  readonly tenantId: string;
  readonly hostId: string;
  readonly agentId: string;
  readonly requester: string;
  readonly origin: string;
  readonly rpId: string;
  readonly root: ReturnType<typeof createEd25519Key>;
  readonly log: ReturnType<typeof createEd25519Key>;
  readonly people: readonly { readonly personId: string; readonly key: SoftwareKey }[];
  readonly policy: PolicyDocument;
}

export function jcs(value: unknown): Buffer {
  return Buffer.from(canonicalize(value) ?? '');
}

function hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

const nowIso = () => new Date().toISOString();

/** Four approvers: two with passkeys, one with a card key, and the requester, who is an approver too. */
export function createWorld(): World {
  const tenantId = randomUUID();
  const origin = 'https://atlas.example.test';
  const rpId = 'atlas.example.test';
  const root = createEd25519Key();
  const log = createEd25519Key();
  const keys = [
    createWebAuthnKey({ rpId, origin }),
    createWebAuthnKey({ rpId, origin }),
    createEd25519Key(),
    createWebAuthnKey({ rpId, origin }),
  ];
  const people = keys.map((key) => ({ personId: randomUUID(), key }));
  const policy: PolicyDocument = {
    v: 1,
    tenant: tenantId,
    epoch: 3,
    issuedAt: nowIso(),
    rootKeys: [{ keyId: root.keyId, publicKey: root.publicKey }],
    rootThreshold: 1,
    approvers: people.map(({ personId, key }, index) => ({
      keyId: key.keyId,
      personId,
      personName: `Person ${index + 1}`,
      kind: key.kind,
      publicKey: key.publicKey,
      classes: ['R1', 'R2'],
      custody: 'software',
      addedAt: nowIso(),
    })),
    thresholds: { R1: 1, R2: 2, R3: 2 },
    verbCatalogueSha256: hex(Buffer.from(verbCatalogueText)),
    origins: [origin],
    rpIds: [rpId],
    caps: { targetsPerRelease: 100, restartsPer24h: 3 },
    auditLog: { origin: 'atlas/test/tenant/2026', publicKey: log.publicKey },
    lockFreshnessS: 300,
  };
  const requester = people[3]?.personId ?? '';
  const ids = { tenantId, hostId: randomUUID(), agentId: randomUUID(), requester };
  return { ...ids, origin, rpId, root, log, people, policy };
}

export const sampleOrders: Order[] = [
  { step: 'preflight', verb: 'host.preflight', args: { minFreeBytes: 1 } },
  {
    step: 'guard',
    verb: 'guard.create',
    args: { tier: 'btrfs', minFreeBytes: 1, confirmWithinS: 600, silentS: 60 },
  },
  {
    step: 'install',
    verb: 'updates.install',
    args: {
      packages: [
        { name: 'bash', arch: 'amd64', fromVersion: '5.2-1', version: '5.2-2', sha256: 'a'.repeat(64) },
      ],
    },
  },
  { step: 'restart', verb: 'host.restart', args: { onlyIfRequired: true } },
  {
    step: 'verify',
    verb: 'health.verify',
    args: { checks: [{ kind: 'approved_updates_installed' }], withinS: 30 },
  },
  { step: 'commit', verb: 'guard.commit', args: { keepHours: 24 } },
  { step: 'rollback', verb: 'guard.rollback', args: { checks: [{ kind: 'tcp', port: 80 }], withinS: 30 } },
];

/** What a test bends before things are signed. */
export interface ReleaseBend {
  readonly release?: Partial<ReleaseDocument>;
  readonly target?: Partial<TargetDocument>;
  readonly signers?: readonly SoftwareKey[];
  readonly payloadType?: string;
  readonly payload?: (bytes: Buffer) => Buffer;
  readonly targetBytes?: (bytes: Buffer) => Buffer;
  readonly leaf?: Record<string, unknown>;
  /** Entries that the log already holds; the approval and two more are appended to it. */
  readonly logLeaves?: Buffer[];
  readonly logKey?: ReturnType<typeof createEd25519Key>;
}

export interface Released {
  readonly release: ReleaseDocument;
  readonly target: TargetDocument;
  readonly bundle: ReleaseBundle;
  readonly logLeaves: readonly Buffer[];
}

function auditPart(world: World, subject: { id: string; digest: string }, bend: ReleaseBend) {
  const leaf = jcs({
    v: 1,
    id: randomUUID(),
    tenant: world.tenantId,
    at: nowIso(),
    action: 'release.approved',
    actorKind: 'system',
    actorId: null,
    subjectType: 'release',
    subjectId: subject.id,
    outcome: 'ok',
    digest: subject.digest,
    details: {},
    ...bend.leaf,
  });
  const leaves = bend.logLeaves ?? [Buffer.from('one'), Buffer.from('two')];
  const leafIndex = leaves.length;
  leaves.push(leaf, Buffer.from('after one'), Buffer.from('after two'));
  const log = { origin: world.policy.auditLog.origin, privateKey: (bend.logKey ?? world.log).privateKey };
  return {
    leaves,
    audit: {
      leaf: leaf.toString('base64url'),
      leafIndex,
      proof: inclusionProof(leaves, leafIndex),
      checkpoint: signCheckpoint(leaves, log),
    },
  };
}

/** Builds a valid release for the world's host among five targets, except for what the bend says. */
export function releaseFor(world: World, bend: ReleaseBend = {}): Released {
  const id = bend.release?.id ?? randomUUID();
  const target: TargetDocument = {
    v: 1,
    release: id,
    host: world.hostId,
    hostname: 'host-3.example.test',
    agent: world.agentId,
    wave: 1,
    orders: sampleOrders,
    ...bend.target,
  };
  const identity = (bytes: Buffer) => bytes;
  const mine = (bend.targetBytes ?? identity)(jcs(target));
  const others = [0, 1, 2, 3].map((n) =>
    jcs({ ...target, host: randomUUID(), agent: randomUUID(), wave: n + 1 }),
  );
  const leaves = [...others.slice(0, 3), mine, ...others.slice(3)];
  const release: ReleaseDocument = {
    v: 1,
    id,
    tenant: world.tenantId,
    policyEpoch: world.policy.epoch,
    class: 'R2',
    planId: randomUUID(),
    planSha256: 'b'.repeat(64),
    runId: randomUUID(),
    targetsRoot: treeRoot(leaves).toString('hex'),
    targetsCount: leaves.length,
    notBefore: new Date(Date.now() - 60_000).toISOString(),
    notAfter: new Date(Date.now() + 3_600_000).toISOString(),
    requester: world.requester,
    reason: 'Monthly security updates',
    ticket: null,
    logOrigin: world.policy.auditLog.origin,
    ...bend.release,
  };
  const payload = (bend.payload ?? identity)(jcs(release));
  const signers = bend.signers ?? world.people.slice(0, 2).map((person) => person.key);
  const { audit, leaves: logLeaves } = auditPart(world, { id, digest: hex(payload) }, bend);
  return {
    release,
    target,
    logLeaves,
    bundle: {
      envelope: signEnvelope(bend.payloadType ?? payloadTypes.command, payload, signers),
      target: mine.toString('base64url'),
      targetIndex: 3,
      targetProof: inclusionProof(leaves, 3),
      audit,
    },
  };
}

/** A command that points at one order of the release. */
export function commandFor(released: Released, step: Order['step'], hostRunId: string): Command {
  const order = released.target.orders.find((one) => one.step === step);
  return {
    commandId: randomUUID(),
    verb: (order?.verb ?? 'agent.noop') as Command['verb'],
    releaseId: released.release.id,
    runId: released.release.runId,
    hostRunId,
    step,
    fence: 1,
  };
}
