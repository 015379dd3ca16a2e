import { createHash, randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openBuild } from '../agent/src/selfupdate/build.check.ts';
import { createWorld } from '../test/harness/release-world.ts';
import { draftBuild, programSha256, readBuildFile, renderBuild, signBuild } from './buildDocument.ts';
import { createRootKeys, type RootKeys } from './policyDocument.ts';

const world = createWorld();
const program = "console.log('0.2.0')";
let folder: string;
let roots: RootKeys;
const at = (name: string) => path.join(folder, name);
const keyFile = (n: number) => at(`roots/root-${n}.pem`);

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'atlas-builds-'));
  roots = await createRootKeys(at('roots'), { count: 3, threshold: 2 });
  await writeFile(at('agent.mjs'), program);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const draft = () => {
  const wish = { tenantId: world.tenantId, version: '0.2.0', days: 1, programFile: at('agent.mjs') };
  return draftBuild(wish, Date.now());
};

/** What an agent says that pins these root keys. */
function judged(build: Awaited<ReturnType<typeof draft>>) {
  const view = { policy: { ...world.policy, ...roots }, nowMs: Date.now(), timeFloorMs: 0, isLocked: false };
  const opened = openBuild(build, { ...view, running: '0.1.0' });
  return 'code' in opened ? opened.code : opened.build.version;
}

describe('a build of the agent in a file', () => {
  it('goes from one holder of a root key to the next, and is what agents accept once enough have signed', async () => {
    await writeFile(at('draft.json'), renderBuild(await draft()));
    const first = await signBuild(await readBuildFile(at('draft.json')), [keyFile(1)]);
    expect(judged(first)).toBe('threshold_not_met');
    await writeFile(at('once.json'), renderBuild(first));
    const second = await signBuild(await readBuildFile(at('once.json')), [keyFile(3)]);
    expect(judged(second)).toBe('0.2.0');
    expect(second.sha256).toBe(first.sha256);
  });

  it('says the digest of the program itself, which who signs compares with his own', async () => {
    expect(programSha256(await draft())).toBe(createHash('sha256').update(program).digest('hex'));
  });

  it('is refused when its bytes are not those of its document, or when it is something else', async () => {
    const build = await draft();
    await writeFile(at('other.mjs'), 'another program');
    const wish = { tenantId: randomUUID(), version: '0.2.1', days: 1, programFile: at('other.mjs') };
    const { artefact } = await draftBuild(wish, Date.now());
    await writeFile(at('bent.json'), renderBuild({ ...build, artefact }));
    await expect(readBuildFile(at('bent.json'))).rejects.toThrow(/bytes|octets/);
    await writeFile(at('none.json'), '{}');
    await expect(readBuildFile(at('none.json'))).rejects.toThrow(/no envelope/);
    await expect(draftBuild({ ...wish, version: '1.0' }, Date.now())).rejects.toThrow(/another form/);
  });
});
