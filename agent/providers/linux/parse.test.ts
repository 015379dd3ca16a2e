import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  classifyAptFault,
  isSecurityOrigin,
  listNews,
  parseIndex,
  parseSimulation,
  parseStatusLine,
} from './apt.parse.ts';
import { dnfSecurityKey, parseDnfCheckUpdate, parseDnfSecurity } from './dnf.parse.ts';
import { parseNeedrestart } from './restartSignals.ts';
import { parseZypperUpdates, readZypperExit } from './zypper.parse.ts';

const recording = (name: string) =>
  readFileSync(path.join(import.meta.dirname, '../../recordings', name), 'utf8');

describe('apt’s simulation, as recorded on Debian 12,', () => {
  const text = recording('apt-simulate-upgrade.debian12.recorded.txt');
  const { installs, removals } = parseSimulation(text);

  it('is read line by line, with as many installations as apt counts', () => {
    const counted = /^(\d+) upgraded, (\d+) newly installed/m.exec(text);
    expect(installs).toHaveLength(Number(counted?.[1]) + Number(counted?.[2]));
    expect(removals).toEqual([]);
  });

  it('keeps versions with epochs, all origins and the architecture', () => {
    expect(installs.find((one) => one.name === 'login')).toMatchObject({
      fromVersion: '1:4.13+dfsg1-1+deb12u1',
      version: '1:4.13+dfsg1-1+deb12u2',
      arch: 'amd64',
    });
    expect(installs.find((one) => one.name === 'libgcrypt20')?.origins).toEqual([
      'Debian:12.15/oldstable',
      'Debian-Security:12/oldstable-security',
    ]);
  });

  it('tells security updates by their origin', () => {
    const security = installs.filter((one) => isSecurityOrigin(one.origins)).map((one) => one.name);
    expect(security).toContain('perl');
    expect(security).not.toContain('bash');
    expect(isSecurityOrigin(['Ubuntu:24.04/noble-security'])).toBe(true);
    expect(isSecurityOrigin(['Ubuntu:24.04/noble-updates'])).toBe(false);
  });
});

describe('apt’s other words', () => {
  it('read new packages, foreign architectures, local origins and removals', () => {
    const { installs, removals } = parseSimulation(
      [
        'Inst hello (2.10-3 Debian:12.15/oldstable [amd64])',
        'Inst libc6:i386 [2.36-9] (2.36-10 Debian:12.15/oldstable [i386])',
        'Inst lab-portal [1.0] (1.1 10.0.0.1 [all])',
        'Inst local (1.0 [all])',
        'Remv old-thing [1.0]',
        'Conf hello (2.10-3 Debian:12.15/oldstable [amd64])',
        'Inst broken line',
      ].join('\n'),
    );
    expect(installs.map((one) => [one.name, one.arch, one.fromVersion, one.version])).toEqual([
      ['hello', 'amd64', null, '2.10-3'],
      ['libc6', 'i386', '2.36-9', '2.36-10'],
      ['lab-portal', 'all', '1.0', '1.1'],
      ['local', 'all', null, '1.0'],
    ]);
    expect(removals).toEqual(['old-thing']);
  });

  it('read sizes and digests from the signed index', () => {
    const entries = parseIndex(recording('apt-cache-show.debian12.recorded.txt'));
    expect(entries.map((entry) => entry.name)).toEqual(['bash', 'perl']);
    for (const entry of entries) {
      expect(entry.sha256).toMatch(/^[0-9a-f]{64}$/);
      expect(entry.sizeBytes).toBeGreaterThan(100_000);
    }
    expect(parseIndex('Package: x\nVersion: 1\nArchitecture: all\nSHA256: short\n')[0]?.sha256).toBeNull();
  });

  it('read progress, and ignore lines that are none', () => {
    expect(parseStatusLine('pmstatus:nginx:45.5:Unpacking nginx (amd64)')).toEqual({
      kind: 'pmstatus',
      item: 'nginx',
      percent: 46,
      text: 'Unpacking nginx (amd64)',
    });
    expect(parseStatusLine('pmstatus:libc6:amd64:10:Preparing')).toMatchObject({
      item: 'libc6:amd64',
      percent: 10,
    });
    expect(parseStatusLine('Setting up nginx')).toBeNull();
  });

  it('tell each line of progress once, however often apt repeats it', () => {
    const line = (text: string) => ({ kind: 'pmstatus', item: 'x', percent: 1, text });
    const lines = [line('Unpacking'), line('Unpacking'), line('Setting up'), line('Unpacking')];
    expect(listNews('', lines)).toEqual(['Unpacking', 'Setting up', 'Unpacking']);
    expect(listNews('Unpacking', lines)).toEqual(['Setting up', 'Unpacking']);
  });

  it.each([
    ['E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1 (apt)', 'package_lock_busy'],
    ["E: dpkg was interrupted, you must manually run 'dpkg --configure -a'", 'dpkg_interrupted'],
    ["E: You don't have enough free space in /var/cache/apt/archives/.", 'no_space'],
    ['E: Failed to fetch x.deb  Hash Sum mismatch', 'digest_mismatch'],
    ["E: Version '9' for 'bash' was not found", 'packages_drifted'],
    ["E: Failed to fetch x  Could not resolve 'mirror'", 'network'],
    ['E: Sub-process /usr/bin/dpkg returned an error code (1)', 'package_failed'],
    ['E: something never seen', 'package_failed'],
  ])('name the fault in «%s»', (text, code) => {
    expect(classifyAptFault(text)).toBe(code);
  });
});

describe('other package managers', () => {
  it('dnf: rows, wrapped names, and which are security updates', () => {
    const updates = parseDnfCheckUpdate(recording('dnf-check-update.shaped.txt'));
    expect(updates.map((one) => one.name)).toEqual([
      'bash',
      'kernel',
      'openssl-libs',
      'python3-setuptools-a-very-long-name-that-wraps',
    ]);
    const security = parseDnfSecurity(recording('dnf-updateinfo-security.shaped.txt'));
    expect(updates.filter((one) => security.has(dnfSecurityKey(one))).map((one) => one.name)).toEqual([
      'kernel',
      'openssl-libs',
    ]);
  });

  it('zypper: whole rows only, and what its exit codes ask for', () => {
    const updates = parseZypperUpdates(recording('zypper-list-updates.shaped.txt'));
    expect(updates.map((one) => one.name)).toEqual(['curl', 'kernel-default', 'libopenssl3']);
    expect([0, 7, 100, 102, 103, 4].map(readZypperExit)).toEqual([
      'ok',
      'locked',
      'updates',
      'restart',
      'again',
      'failed',
    ]);
  });

  it('needrestart: kernel state and services', () => {
    expect(parseNeedrestart(recording('needrestart-batch.shaped.txt'))).toEqual({
      kernelState: 3,
      runningKernel: '6.1.0-37-amd64',
      expectedKernel: '6.1.0-41-amd64',
      services: ['nginx.service', 'systemd-journald.service'],
    });
    expect(parseNeedrestart('')).toMatchObject({ kernelState: 0, services: [] });
  });

  it('survive any text', () => {
    const parsers = [
      parseSimulation,
      parseIndex,
      parseStatusLine,
      parseDnfCheckUpdate,
      parseDnfSecurity,
      parseZypperUpdates,
      parseNeedrestart,
    ];
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 400 }),
        fc.constantFrom(...parsers),
        (text, parse) => {
          expect(() => parse(text)).not.toThrow();
        },
      ),
      { numRuns: 200 },
    );
  });
});
