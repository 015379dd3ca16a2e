import { rmSync } from 'node:fs';
import { runCommand } from './command.ts';
import { removeHost } from './host.ts';
import { killCgroups, removeCgroups } from './host-cgroup.ts';
import type { LabStep } from './lab-story.ts';
import { withLabLock } from './lab-lock.ts';
import { getCgroupPrefix, getLabPaths } from './lab-paths.ts';
import type { LabPaths } from './lab-paths.ts';
import { listHostRecords } from './lab-record.ts';
import { stopMirror } from './mirror.ts';
import { removeNetwork } from './network.ts';

/** Loop devices on files of this lab, whoever made them: a build killed half-way leaves one. */
async function detachLoopDevices(paths: LabPaths): Promise<void> {
  const listed = await runCommand('losetup', [
    '--list',
    '--noheadings',
    '--raw',
    '--output',
    'NAME,BACK-FILE',
  ]);
  for (const line of listed.stdout.split('\n')) {
    const [device, backingFile] = line.split(' ');
    const isOwn = backingFile?.startsWith(`${paths.rootDir}/`) === true;
    if (isOwn && device !== undefined) await runCommand('losetup', ['--detach', device]);
  }
}

/**
 * Removes everything of a lab: processes, mounts, loop devices, bridge, address translation, files. The cache stays.
 * Works after any crash and when there is nothing to remove.
 */
export async function resetLab(
  stateDir: string,
  log: (step: LabStep) => void = () => undefined,
): Promise<void> {
  const paths = getLabPaths(stateDir);
  await withLabLock(paths, async () => {
    await Promise.all(listHostRecords(paths).map((record) => removeHost(paths, record)));
    await killCgroups(getCgroupPrefix(paths.labId));
    await removeCgroups(getCgroupPrefix(paths.labId));
    await stopMirror(paths);
    await removeNetwork(paths);
    await detachLoopDevices(paths);
    rmSync(paths.rootDir, { recursive: true, force: true });
  });
  log({ kind: 'reset_done' });
}
