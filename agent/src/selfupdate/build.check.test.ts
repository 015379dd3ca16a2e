import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { AgentBuildDocument } from '#contract/builds.ts';
import { payloadTypes } from '#contract/dsse.ts';
import type { PolicyDocument } from '#contract/trust.ts';
import { createWorld, jcs } from '../../../test/harness/release-world.ts';
import { createEd25519Key, signEnvelope, type SoftwareKey } from '../../../test/harness/software-key.ts';
import { openBuild, type BuildView } from './build.check.ts';

const world = createWorld();
const [a, b, c] = [createEd25519Key(), createEd25519Key(), createEd25519Key()];
const policy: PolicyDocument = {
  ...world.policy,
  rootKeys: [a, b].map(({ keyId, publicKey }) => ({ keyId, publicKey })),
  rootThreshold: 2,
};
const bytes = randomBytes(2000);
const nowMs = Date.now();
const good: AgentBuildDocument = {
  v: 1,
  tenant: world.tenantId,
  version: '0.2.0',
  platform: 'linux-x64',
  sha256: createHash('sha256').update(bytes).digest('hex'),
  bytes: bytes.length,
  issuedAt: new Date(nowMs - 1000).toISOString(),
  expiresAt: new Date(nowMs + 60_000).toISOString(),
};
const view: BuildView = { policy, nowMs, timeFloorMs: 0, running: '0.1.0', isLocked: false };
const artefact = bytes.toString('base64url');
const sign = (document: object, keys: SoftwareKey[] = [a, b], type: string = payloadTypes.agentBuild) =>
  signEnvelope(type, jcs(document), keys);

/** What the agent says to a build that differs from a good one in one thing only. */
function answer(
  bend: { document?: object; keys?: SoftwareKey[]; type?: string; artefact?: string } & Partial<BuildView>,
) {
  const { document = good, keys, type, artefact: sent = artefact, ...seen } = bend;
  const opened = openBuild({ envelope: sign(document, keys, type), artefact: sent }, { ...view, ...seen });
  return 'code' in opened ? opened.code : opened.build.version;
}

describe('a build of the agent', () => {
  it('is accepted when enough root keys signed it and its bytes are the ones', () => {
    expect(answer({})).toBe('0.2.0');
    const opened = openBuild({ envelope: sign(good), artefact }, view);
    expect('artefact' in opened && opened.artefact.equals(bytes)).toBe(true);
  });

  it('is refused when anybody but the root keys signed it, however many, however often', () => {
    expect(answer({ keys: [a] })).toBe('threshold_not_met');
    expect(answer({ keys: [a, a, a] })).toBe('threshold_not_met');
    expect(answer({ keys: [a, c] })).toBe('threshold_not_met');
    expect(answer({ keys: [] })).toBe('threshold_not_met');
    // Approvers release work; the program that verifies their releases is not theirs to replace.
    expect(answer({ keys: [world.root, c] })).toBe('threshold_not_met');
  });

  it('is refused when a document of another kind is shown as one', () => {
    expect(answer({ type: payloadTypes.policy })).toBe('wrong_payload_type');
    const asBuild = { ...sign(policy, [a, b], payloadTypes.policy), payloadType: payloadTypes.agentBuild };
    expect(openBuild({ envelope: asBuild, artefact }, view)).toMatchObject({ code: 'threshold_not_met' });
    expect(answer({ document: policy })).toBe('malformed');
    expect(openBuild({ envelope: null, artefact }, view)).toMatchObject({ code: 'malformed' });
  });

  it('is refused for another tenant, after its end, and under an emergency stop', () => {
    expect(answer({ document: { ...good, tenant: randomUUID() } })).toBe('wrong_tenant');
    expect(answer({ nowMs: nowMs + 60_001 })).toBe('expired');
    // A clock that was set back does not help: something signed has proved a later time.
    expect(answer({ nowMs: 0, timeFloorMs: nowMs + 60_001 })).toBe('expired');
    expect(answer({ isLocked: true })).toBe('locked');
  });

  it('is refused when it is as old as what runs, or older, by numbers and not by letters', () => {
    for (const running of ['0.2.0', '0.2.1', '0.10.0', '1.0.0'])
      expect(answer({ running })).toBe('not_newer');
    expect(answer({ running: '0.1.99' })).toBe('0.2.0');
    expect(answer({ document: { ...good, version: '0.10.0' }, running: '0.9.0' })).toBe('0.10.0');
    expect(answer({ running: '0.0.0-source' })).toBe('not_newer');
  });

  it('is refused when its version could name a folder elsewhere', () => {
    for (const version of ['../0.2.0', '0.2', '0.2.0.0', '00.2.0', '0.2.0\n', '', '0.2.x'])
      expect(answer({ document: { ...good, version } })).toBe('malformed');
  });

  it('is refused when one byte differs, is missing or too many', () => {
    const flipped = Buffer.from(bytes);
    flipped[1000] = (flipped[1000] ?? 0) ^ 1;
    const others = [flipped, bytes.subarray(1), Buffer.concat([bytes, Buffer.from([0])])];
    for (const other of others)
      expect(answer({ artefact: other.toString('base64url') })).toBe('digest_mismatch');
    expect(answer({ artefact: `${artefact}=` })).toBe('digest_mismatch');
  });
});
