import { describe, expect, it } from 'vitest';
import { parseMountInfo, parseSubvolumeShow } from './btrfs.ts';
import type { Mount } from './btrfs.ts';
import { judgeTier } from './guardTier.ts';
import type { GuardSurvey } from './guardTier.ts';
import { phasesOf } from './rollbackStory.ts';

const mount = (point: string, subvolid: string, type = 'btrfs'): Mount => ({
  point,
  root: '/@',
  type,
  source: '/dev/sda2',
  options: new Map([['subvolid', subvolid]]),
});
const good: GuardSurvey = {
  root: mount('/', '256'),
  state: mount('/var/lib/atlas-agent', '257'),
  boot: undefined,
  defaultId: 256,
  kernelCommandLine: 'root=/dev/sda2 quiet',
  isContainer: false,
  isGuardianActive: true,
};

describe('the way back that a host can promise', () => {
  it('is a snapshot when a restart would start from it and its keeper survives', () => {
    expect(judgeTier(good).tier).toBe('btrfs');
  });

  it.each<[string, Partial<GuardSurvey>]>([
    ['not btrfs', { root: mount('/', '0', 'ext4') }],
    ['btrfs-progs', { defaultId: null }],
    ['mounted by name', { defaultId: 5 }],
    ['kernel command line', { kernelCommandLine: 'root=/dev/sda2 rootflags=subvol=@rootfs' }],
    ['/boot', { boot: mount('/boot', '0', 'ext4') }],
    ['state lies inside', { state: undefined }],
    ['state lies inside', { state: mount('/var/lib/atlas-agent', '256') }],
    ['another disk', { state: { ...mount('/var/lib/atlas-agent', '257'), source: '/dev/sdb1' } }],
    ['guardian', { isGuardianActive: false }],
  ])('is none, with a reason, when it is about: %s', (reason, change) => {
    const tier = judgeTier({ ...good, ...change });
    expect(tier.tier).toBe('none');
    expect(tier.reason).toContain(reason);
  });

  it('does not depend on the kernel of the machine around a container', () => {
    const kernelCommandLine = 'rootflags=subvol=@rootfs';
    expect(judgeTier({ ...good, isContainer: true, kernelCommandLine }).tier).toBe('btrfs');
  });
});

describe('what btrfs and the kernel print', () => {
  it('is read for subvolumes', () => {
    const show = [
      '@atlas-agent/snapshots/x',
      '\tName: \t\t\tx',
      '\tUUID: \t\t\t7d5e3a0f-0000-0000-0000-000000000001',
      '\tParent UUID: \t\t-',
      '\tSubvolume ID: \t\t261',
      '\tFlags: \t\t\treadonly',
    ].join('\n');
    expect(parseSubvolumeShow(show)).toEqual({
      id: 261,
      uuid: '7d5e3a0f-0000-0000-0000-000000000001',
      isReadOnly: true,
    });
    expect(parseSubvolumeShow(show.replace('readonly', '-'))?.isReadOnly).toBe(false);
    expect(parseSubvolumeShow('ERROR: not a subvolume')).toBeNull();
  });

  it('is read for mounts, the later one of two on the same point', () => {
    const mounts = parseMountInfo(
      [
        '24 1 0:22 /@ / rw,noatime shared:1 - btrfs /dev/loop3 rw,space_cache=v2,subvolid=256,subvol=/@',
        '30 24 0:22 /@x /data rw shared:1 - btrfs /dev/loop3 rw,subvolid=270,subvol=/@x',
        '31 24 8:1 / /data rw - ext4 /dev/sda1 rw',
        'nonsense',
      ].join('\n'),
    );
    expect(mounts.get('/')).toMatchObject({ type: 'btrfs', source: '/dev/loop3' });
    expect(mounts.get('/')?.options.get('subvolid')).toBe('256');
    expect(mounts.get('/data')?.type).toBe('ext4');
  });
});

describe('the phases of a rollback', () => {
  it('are counted in milliseconds from the moment trouble was detected', () => {
    const firing = {
      hostRunId: 'x',
      releaseId: 'x',
      by: 'order' as const,
      reason: '',
      commandId: null,
      bootId: '',
      detectedAtMs: 1000,
      decidedAtMs: 1200,
      switchedAtMs: 1500,
      newRootId: 1,
      oldRootId: 2,
    };
    expect(phasesOf(firing, { rebootedAtMs: 6000, greenAtMs: 7000 })).toEqual({
      detected: 0,
      decided: 200,
      switched: 500,
      rebooted: 5000,
      green: 6000,
    });
    expect(phasesOf(firing, { rebootedAtMs: 6000, greenAtMs: null })).not.toHaveProperty('green');
  });
});
