import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { Order, PolicyDocument, ReleaseBundle, TargetDocument } from '#contract/trust.ts';
import { createPolicyEnvelope, selfSigned } from './identityFiles.ts';
import { newLogKey } from '../harness/auditLog.ts';
import { createTestDatabase, type TestDatabase } from '../harness/database.ts';
import { inclusionProof, signCheckpoint } from '../harness/merkle-tree.ts';
import { createWorld, releaseFor, type World } from '../harness/release-world.ts';

/** What every seed begins with; made once, in the real world. */
export interface Ground {
  readonly database: TestDatabase;
  readonly world: World;
  readonly certificate: { readonly keyPem: string; readonly certificatePem: string };
  readonly policyEnvelope: ReturnType<typeof createPolicyEnvelope>;
  readonly logKey: ReturnType<typeof newLogKey>;
  /** A key for each host, with which its agent signs results. */
  readonly resultKeys: readonly { readonly privateKey: KeyObject; readonly publicKey: Buffer }[];
}

export const maxHosts = 6;

/** The empty, migrated database and every key of the world. */
export async function createGround(): Promise<Ground> {
  const database = await createTestDatabase();
  const made = createWorld();
  const policy: PolicyDocument = { ...made.policy, epoch: 1 };
  const world = { ...made, policy };
  return {
    database,
    world,
    certificate: await selfSigned(),
    policyEnvelope: createPolicyEnvelope(policy, made.root),
    logKey: newLogKey(),
    resultKeys: Array.from({ length: maxHosts }, () => {
      const { privateKey, publicKey } = generateKeyPairSync('ed25519');
      return { privateKey, publicKey: publicKey.export({ type: 'spki', format: 'der' }) };
    }),
  };
}

export interface HostIds {
  readonly hostId: string;
  readonly agentId: string;
  readonly hostname: string;
}

export interface ReleaseTerms {
  readonly releaseId: string;
  readonly runId: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly orders: readonly Order[];
  readonly wave: number;
}

/** The leaves of each host's audit log as its bundles show it; a log only grows. */
const logs = new Map<string, Buffer[]>();

/** What two people signed for one host, with every proof that its agent asks for. */
export function bundleFor(
  ground: Ground,
  host: HostIds,
  terms: ReleaseTerms,
): { readonly bundle: ReleaseBundle; readonly target: TargetDocument } {
  const leaves = logs.get(host.agentId) ?? [Buffer.from('one'), Buffer.from('two')];
  logs.set(host.agentId, leaves);
  const { bundle, target } = releaseFor(
    { ...ground.world, hostId: host.hostId, agentId: host.agentId },
    {
      release: {
        id: terms.releaseId,
        runId: terms.runId,
        notBefore: new Date(terms.notBeforeMs).toISOString(),
        notAfter: new Date(terms.notAfterMs).toISOString(),
      },
      target: {
        release: terms.releaseId,
        hostname: host.hostname,
        wave: terms.wave,
        orders: [...terms.orders],
      },
      logLeaves: leaves,
    },
  );
  return { bundle, target };
}

/** The same with proofs from the log as it is now, as the server makes them when it hands a release over. */
export function refresh(ground: Ground, agentId: string, bundle: ReleaseBundle): ReleaseBundle {
  const leaves = logs.get(agentId) ?? [];
  const { origin } = ground.world.policy.auditLog;
  const { leafIndex } = bundle.audit;
  const proof = inclusionProof(leaves, leafIndex);
  const checkpoint = signCheckpoint(leaves, { origin, privateKey: ground.world.log.privateKey });
  return { ...bundle, audit: { ...bundle.audit, proof, checkpoint } };
}

/** Forgets the logs of the last seed. */
export function forgetLogs(): void {
  logs.clear();
}

/** Short and stable: the identity of the policy document that agents are pinned to. */
export function policyDigest(ground: Ground): string {
  const bytes = Buffer.from(ground.policyEnvelope.payload, 'base64url');
  return createHash('sha256').update(bytes).digest('hex');
}
