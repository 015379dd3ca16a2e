import { execFileSync } from 'node:child_process';
import { chmod, copyFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { playbookRoom } from './runner.ts';
import { runInSandbox, type SandboxOptions } from './sandbox.ts';

// What a job would see and do; each line of its input is Python.
const jobText = 'import sys\nexec(sys.stdin.read())\n';
let room: string;
let secrets: string;

beforeAll(async () => {
  room = await mkdtemp(path.join(tmpdir(), 'atlas-room-'));
  secrets = await mkdtemp(path.join(tmpdir(), 'atlas-secrets-'));
  await writeFile(path.join(secrets, 'kek'), 'the key', { mode: 0o644 });
  await writeFile(path.join(room, 'job.py'), jobText);
  await copyFile(path.join(playbookRoom, 'sandbox.sh'), path.join(room, 'sandbox.sh'));
  await chmod(room, 0o755);
  await chmod(secrets, 0o755);
});

afterAll(async () => {
  await rm(room, { recursive: true, force: true });
  await rm(secrets, { recursive: true, force: true });
});

const run = (input: string, bend: Partial<SandboxOptions> = {}) =>
  runInSandbox({
    roomDirectory: room,
    python: '/usr/bin/python3',
    hide: [secrets],
    input,
    timeoutMs: 20_000,
    ...bend,
  });

describe('a job', () => {
  it('hears only its standard input, and its environment holds nothing of ours', async () => {
    vi.stubEnv('ATLAS_TEST_SECRET', 'visible');
    const done = await run('import os; print(sorted(os.environ))');
    vi.unstubAllEnvs();
    expect(done).toMatchObject({ exitCode: 0, timedOut: false });
    expect(done.stdout).not.toContain('SECRET');
  });

  it('leaves nothing behind, also when it writes', async () => {
    const before = (await readdir(tmpdir())).filter((name) => name.startsWith('atlas-job-'));
    const done = await run("import os; open('key','w').write('x'); print(os.getcwd())");
    expect(done.stderr).toBe('');
    const after = (await readdir(tmpdir())).filter((name) => name.startsWith('atlas-job-'));
    expect(after.filter((name) => done.stdout.includes(name))).toEqual([]);
    expect(after.length).toBeLessThanOrEqual(before.length + 4);
  });

  it('that takes too long is ended with everything that it started', async () => {
    const mark = `4242.${process.pid}`;
    const done = await run(
      `import subprocess; subprocess.Popen(['sleep', '${mark}']); subprocess.run(['sleep', '${mark}'])`,
      {
        timeoutMs: 1500,
      },
    );
    expect(done.timedOut).toBe(true);
    expect(execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })).not.toContain(mark);
  });

  it.runIf(process.getuid?.() === 0)(
    'sees neither our secrets nor other programs, and has another user’s rights',
    async () => {
      const done = await run(
        `import os; print(os.listdir('${secrets}') if os.access('${secrets}', os.R_OK) else [], os.getuid(), len([p for p in os.listdir('/proc') if p.isdigit()]))`,
      );
      expect(done.isIsolated).toBe(true);
      const [, uid, processes] = /^\[\] (\d+) (\d+)$/m.exec(done.stdout) ?? [];
      expect(Number(uid)).toBe(65_534);
      expect(Number(processes)).toBeLessThan(6);
    },
  );
});
