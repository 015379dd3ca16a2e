import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommand } from '../../lab/command.ts';
import type { LabHost } from '../../lab/host.ts';
import { createLab, openLab } from '../../lab/lab.ts';
import type { Lab } from '../../lab/lab.ts';
import { getLabPaths } from '../../lab/lab-paths.ts';
import { resetLab } from '../../lab/reset-lab.ts';
import { findDirectories } from '../../stack/directories.ts';

const directories = findDirectories();
mkdirSync(directories.stateDir, { recursive: true });
const stateDir = mkdtempSync(join(directories.stateDir, 'lab-test-'));
const paths = getLabPaths(stateDir);
let forwardingBefore = '0\n';

let lab: Lab;
let plain: LabHost;
let portal: LabHost;

/** Standard output of a line that has to succeed on a host. */
async function on(host: LabHost, line: string): Promise<string> {
  const result = await host.exec(line, { timeoutMs: 120_000 });
  expect(result, `${host.name}: ${line}`).toMatchObject({ exitCode: 0 });
  return result.stdout.trim();
}

/** The page of a host's web server, or nothing when none is served. */
async function getPage(host: LabHost): Promise<string> {
  try {
    const answer = await fetch(`http://${host.address}/`, { signal: AbortSignal.timeout(3000) });
    return answer.ok ? await answer.text() : '';
  } catch {
    return '';
  }
}

/** Everything on this machine that carries the lab's name. */
async function listTraces(): Promise<string[]> {
  const looks = [
    ['ip', '-brief', 'link'],
    ['nft', 'list', 'tables'],
    ['losetup', '--list', '--noheadings'],
    ['cat', '/proc/mounts'],
    ['find', '/sys/fs/cgroup', '-type', 'd', '-name', 'atlas-lab-*'],
    ['ps', '-eo', 'args'],
  ];
  const outputs = await Promise.all(
    looks.map(async ([program = '', ...args]) => (await runCommand(program, args)).stdout.split('\n')),
  );
  return outputs.flat().filter((line) => line.includes(paths.labId) || line.includes(`${stateDir}/`));
}

/** Another lab of this machine keeps forwarding on. */
async function hasOtherLabs(): Promise<boolean> {
  return (await runCommand('nft', ['list', 'tables'])).stdout.includes('atlas_lab_');
}

beforeAll(async () => {
  if (!(await hasOtherLabs())) forwardingBefore = readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8');
  lab = await createLab({ stateDir, cacheDir: directories.cacheDir, log: () => undefined });
  const hosts = await lab.create([{ name: 'plain' }, { name: 'portal', brokenPackagePending: true }]);
  [plain, portal] = hosts as [LabHost, LabHost];
}, 300_000);

afterAll(async () => {
  await resetLab(stateDir);
  rmSync(stateDir, { recursive: true, force: true });
});

describe('a lab host', () => {
  it('is a booted Debian with nothing failed, serving its own page', async () => {
    expect(await on(plain, 'systemctl is-system-running')).toBe('running');
    expect(await getPage(plain)).toContain('<h1>plain</h1>');
    expect(await getPage(portal)).toContain('<h1>portal</h1>');
  });

  it('has a boot, a machine identity and processes of its own', async () => {
    const machineBootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const ids = [machineBootId, await plain.bootId(), await portal.bootId()];
    expect(new Set(ids).size).toBe(3);
    expect(await on(plain, 'cat /etc/machine-id')).not.toBe(await on(portal, 'cat /etc/machine-id'));
    expect(await on(plain, 'cat /proc/1/comm')).toBe('systemd');
    // Two systemds in one cgroup would take each other's web server for theirs.
    const members = `group=$(systemctl show nginx --property=ControlGroup --value)
      cat /sys/fs/cgroup/systemd$group/cgroup.procs /sys/fs/cgroup$group/cgroup.procs 2>/dev/null | wc -l`;
    expect(await on(plain, members)).toBe(await on(plain, 'pgrep -c -x nginx'));
  });

  it('reaches this machine by the gateway address and by the name that agents use', async () => {
    expect(await on(plain, `ping -c 1 -W 2 ${lab.gatewayAddress} >/dev/null && echo answers`)).toBe(
      'answers',
    );
    expect(await on(plain, 'getent hosts atlas.internal')).toContain(lab.gatewayAddress);
  });

  it('has security updates of the distribution pending and the lab package that fits its role', async () => {
    await on(plain, 'apt-get update --quiet=2');
    const pending = await on(plain, 'apt-get --simulate dist-upgrade | grep ^Inst');
    expect(pending.split('\n').filter((line) => line.includes('-security')).length).toBeGreaterThan(0);
    expect(pending).toMatch(/^Inst lab-site \[1\.0\] \(1\.1 /m);
    expect(pending).not.toContain('lab-portal');
  });

  it('installs a real update over the network', async () => {
    await on(
      plain,
      'apt-get update --quiet=2 && apt-get install --yes --quiet=2 --only-upgrade lab-site tzdata',
    );
    expect(await getPage(plain)).toContain('lab-site 1.1');
    const policy = await on(plain, 'apt-get --simulate dist-upgrade | grep ^Inst');
    expect(policy).not.toContain('Inst tzdata');
  });

  it('says what a command answered, failure and time limit included', async () => {
    const failed = await plain.exec('echo out; echo err >&2; exit 7');
    expect(failed).toEqual({ exitCode: 7, stdout: 'out\n', stderr: 'err\n' });
    const slow = await plain.exec(['sleep', '61.25'], { timeoutMs: 500 });
    expect(slow.exitCode).toBe(124);
    expect((await plain.exec('pgrep -f "sleep 61.2[5]"')).exitCode).toBe(1);
    const echoed = await plain.exec(['cat'], { input: 'typed' });
    expect(echoed.stdout).toBe('typed');
  });

  it('takes a file as it is', async () => {
    const file = join(stateDir, 'bytes');
    const bytes = Buffer.from([0, 1, 255, 10, 13, 0]);
    writeFileSync(file, bytes);
    await plain.copyIn(file, '/opt/deep/bytes', '0750');
    expect(await on(plain, 'base64 /opt/deep/bytes')).toBe(bytes.toString('base64'));
    expect(await on(plain, 'stat -c %a /opt/deep/bytes')).toBe('750');
  });
});

describe('rollback of a lab host', () => {
  it('gives the old root back by set-default and restart from inside, and leaves the agent’s state alone', async () => {
    await on(plain, 'echo before >/etc/lab-marker; echo first >/var/lib/atlas-agent/journal');
    await on(
      plain,
      `mkdir -p /run/top && mount -o subvolid=5 "$(findmnt -no SOURCE / | sed 's/\\[.*//')" /run/top &&
       btrfs subvolume snapshot / /run/top/@before && umount /run/top`,
    );
    await on(plain, 'echo after >/etc/lab-marker; echo second >>/var/lib/atlas-agent/journal');
    const bootId = await plain.bootId();
    await on(
      plain,
      `mount -o subvolid=5 "$(findmnt -no SOURCE / | sed 's/\\[.*//')" /run/top &&
       btrfs subvolume set-default /run/top/@before && umount /run/top && systemctl reboot`,
    );
    expect(await plain.waitForReboot(bootId, 60_000)).not.toBe(bootId);
    expect(await on(plain, 'cat /etc/lab-marker')).toBe('before');
    expect(await on(plain, 'cat /var/lib/atlas-agent/journal')).toBe('first\nsecond');
    expect(await on(plain, 'findmnt -no FSROOT /')).toBe('/@before');
    expect(await getPage(plain)).toContain('<h1>plain</h1>');
  });

  it('can remove the root that was replaced, from inside', async () => {
    await on(
      plain,
      `mkdir -p /run/top && mount -o subvolid=5 "$(findmnt -no SOURCE / | sed 's/\\[.*//')" /run/top &&
       btrfs subvolume delete /run/top/@ && umount /run/top`,
    );
    const status = await plain.status();
    expect(status).toMatchObject({ state: 'running', boots: 2 });
  });
});

describe('the broken package', () => {
  it('installs without a complaint and takes the web server down, also after a restart', async () => {
    await on(portal, 'apt-get update --quiet=2 && apt-get install --yes --quiet=2 lab-portal');
    expect(await on(portal, "dpkg-query --show --showformat='${Version}' lab-portal")).toBe('1.1');
    expect(await on(portal, 'systemctl is-failed nginx')).toBe('failed');
    expect(await getPage(portal)).toBe('');
    const bootId = await portal.bootId();
    await on(portal, 'systemctl reboot');
    await portal.waitForReboot(bootId, 60_000);
    expect(await on(portal, 'systemctl is-failed nginx')).toBe('failed');
    expect(await getPage(plain)).toContain('<h1>plain</h1>');
  });
});

describe('mishaps of a lab host', () => {
  const pingGateway = async (host: LabHost): Promise<number> =>
    (await host.exec(['ping', '-c', '1', '-W', '1', lab.gatewayAddress])).exitCode;

  it('loses its network when cut, stays cut over a restart, and comes back when healed', async () => {
    await plain.cutNetwork();
    expect(await pingGateway(plain)).not.toBe(0);
    const bootId = await plain.bootId();
    await on(plain, 'systemctl reboot');
    await plain.waitForReboot(bootId, 60_000);
    expect(await pingGateway(plain)).not.toBe(0);
    expect((await plain.status()).network.cut).toBe(true);
    await plain.healNetwork();
    expect(await pingGateway(plain)).toBe(0);
  });

  it('receives slowly when slowed', async () => {
    await on(plain, 'dd if=/dev/zero of=/var/www/lab-site/big bs=1M count=1 status=none');
    const download = `curl --silent --output /dev/null --write-out '%{time_total}' http://${plain.address}/big`;
    expect(Number(await on(portal, download))).toBeLessThan(1);
    await portal.slowNetwork({ rateKbit: 2000, lossPercent: 0 });
    // 8 Mbit at 2 Mbit/s.
    expect(Number(await on(portal, download))).toBeGreaterThan(2);
    await portal.healNetwork();
  });

  it('has no space left when filled, and space again when freed', async () => {
    await plain.fillDisk(8);
    const refused = await plain.exec('dd if=/dev/urandom of=/root/more bs=1M count=64 status=none; sync');
    expect(refused.stderr).toContain('No space left');
    await plain.freeDisk();
    await on(plain, 'rm -f /root/more && dd if=/dev/zero of=/root/more bs=1M count=64 status=none');
  });

  it('is off after its power was taken away and boots again with what it had written', async () => {
    const bootId = await plain.bootId();
    await on(plain, 'echo kept >/var/lib/atlas-agent/power && sync');
    await plain.kill();
    expect(await plain.status()).toMatchObject({ state: 'off', bootId: null });
    await expect(plain.exec('true')).rejects.toMatchObject({ code: 'host_off' });
    await plain.start();
    expect(await plain.bootId()).not.toBe(bootId);
    expect(await on(plain, 'cat /var/lib/atlas-agent/power')).toBe('kept');
  });

  it('shuts down in good order and stays off', async () => {
    await portal.stop();
    expect(await portal.status()).toMatchObject({ state: 'off' });
    expect(readFileSync(portal.consoleFile, 'utf8')).toContain('host ended with status 0');
  });
});

describe('a lab', () => {
  it('is found again by another command, and refuses names it does not know', async () => {
    const found = openLab({ stateDir, log: () => undefined });
    expect(found?.hosts().map((host) => host.name)).toEqual(['plain', 'portal']);
    expect(() => found?.host('nobody')).toThrow(expect.objectContaining({ code: 'unknown_host' }) as Error);
    await expect(lab.create(['Bad Name'])).rejects.toMatchObject({ code: 'bad_host_name' });
  });

  it('leaves nothing on the machine after a reset, even when a host was running', async () => {
    expect(await listTraces()).not.toEqual([]);
    await resetLab(stateDir);
    expect(await listTraces()).toEqual([]);
    expect(openLab({ stateDir, log: () => undefined })).toBeUndefined();
    expect(readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8')).toBe(
      (await hasOtherLabs()) ? '1\n' : forwardingBefore,
    );
    await resetLab(stateDir);
  });
});
