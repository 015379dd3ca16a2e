import { readFile } from 'node:fs/promises';
import { runCommand } from '../host/command.ts';
import { BtrfsError, getDefaultId, readMounts } from './btrfs.ts';
import type { Mount } from './btrfs.ts';

/** Which way back this host has, and in words why not a better one. */
export interface GuardTier {
  readonly tier: 'btrfs' | 'none';
  readonly reason: string;
}

export interface GuardSurvey {
  readonly root: Mount | undefined;
  readonly state: Mount | undefined;
  readonly boot: Mount | undefined;
  readonly defaultId: number | null;
  readonly kernelCommandLine: string;
  readonly isContainer: boolean;
  readonly isGuardianActive: boolean;
}

/** A snapshot is only promised when a restart would really start from it, and when its keeper survives the way back. */
export function judgeTier(survey: GuardSurvey): GuardTier {
  const none = (reason: string): GuardTier => ({ tier: 'none', reason });
  const { root, state, boot } = survey;
  if (root?.type !== 'btrfs') return none(`the root file system is ${root?.type ?? 'unknown'}, not btrfs`);
  if (survey.defaultId === null) return none('btrfs-progs is missing or cannot read the file system');
  if (Number(root.options.get('subvolid')) !== survey.defaultId)
    return none('the root is mounted by name, so a changed default subvolume would not be started');
  if (!survey.isContainer && /\brootflags=\S*subvol/.test(survey.kernelCommandLine))
    return none('the kernel command line pins the root subvolume');
  if (!survey.isContainer && boot !== undefined)
    return none('/boot is a file system of its own: a snapshot of the root would not hold the kernel');
  if (state?.type !== 'btrfs' || state.options.get('subvolid') === root.options.get('subvolid'))
    return none('the agent’s state lies inside the root: it would be turned back too');
  if (state.source !== root.source) return none('the agent’s state lies on another disk than the root');
  if (!survey.isGuardianActive) return none('the guardian’s timer is not active');
  return {
    tier: 'btrfs',
    reason: 'btrfs root mounted by its default subvolume, state outside of it, guardian active',
  };
}

async function readDefault(): Promise<number | null> {
  try {
    return await getDefaultId('/');
  } catch (error) {
    if (error instanceof BtrfsError) return null;
    throw error;
  }
}

/** Looks at this host. */
export async function surveyGuard(stateRoot: string): Promise<GuardTier> {
  const mounts = await readMounts();
  const root = mounts.get('/');
  const [timer, container, kernelCommandLine] = await Promise.all([
    runCommand('systemctl', ['is-active', 'atlas-guardian.timer'], { timeoutMs: 10_000 }),
    runCommand('systemd-detect-virt', ['--container', '--quiet'], { timeoutMs: 10_000 }),
    readFile('/proc/cmdline', 'utf8').catch(() => ''),
  ]);
  return judgeTier({
    root,
    state: mounts.get(stateRoot),
    boot: mounts.get('/boot'),
    defaultId: root?.type === 'btrfs' ? await readDefault() : null,
    kernelCommandLine,
    isContainer: container.exitCode === 0,
    isGuardianActive: timer.exitCode === 0,
  });
}
