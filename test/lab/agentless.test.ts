import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Value } from 'typebox/value';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { SshAccessCreate } from '#contract/reach.ts';
import type { LabHost } from '../../lab/host.ts';
import { playbookRoom, SshRunner } from '../../server/src/hosts/ansible/runner.ts';
import { systemClock } from '../../server/src/platform/clock.ts';
import { createOpensshKey } from '../harness/openssh-key.ts';
import { SshLab } from '../harness/ssh-lab.ts';

let world: SshLab;

beforeAll(async () => {
  world = await SshLab.open();
}, 600_000);

afterAll(() => world.close());

const patience = { timeout: 180_000, interval: 500 };

/** A host that SSH drives, whose inventory is in. */
async function drivenHost(
  name: string,
  broken = false,
  prepare: (host: LabHost) => Promise<void> = () => Promise.resolve(),
): Promise<{ host: LabHost; hostId: string; accessId: string }> {
  const host = await world.host(name, broken);
  await prepare(host);
  const access = await world.access(host);
  await world.activate(access.id);
  const hostId = await vi.waitFor(async () => {
    const now = await world.find(access.id);
    expect(now).toMatchObject({ state: 'active', fault: null });
    const detail = await world.detail(now.hostId ?? '');
    expect(detail.inventory).not.toBeNull();
    return now.hostId ?? '';
  }, patience);
  return { host, hostId, accessId: access.id };
}

const installedPortal = async (host: LabHost): Promise<string> =>
  (await host.exec("dpkg-query -W -f '${Version}' lab-portal")).stdout;

describe('an access over SSH', () => {
  it('names what is wrong: address, host key, credential, root, Python', async () => {
    const host = await world.host('ssh-faults');
    const good = await world.access(host);
    expect(await world.test(good.id)).toMatchObject({
      ok: true,
      fault: null,
      arch: 'x86_64',
      sandbox: 'other_user',
    });

    const { privateKey } = createOpensshKey();
    const params = { sshAccessId: good.id };
    await world.desk.must('chief', 'replaceSshKey', { params, body: { privateKey } });
    expect(await world.test(good.id)).toMatchObject({ ok: false, fault: 'credential_refused' });
    const back = { params, body: { privateKey: world.key.privateKey } };
    await world.desk.must('chief', 'replaceSshKey', back);

    const login =
      'useradd --create-home atlas; mkdir -p /home/atlas/.ssh; cp /root/.ssh/authorized_keys /home/atlas/.ssh/';
    await host.exec(`${login}; chown -R atlas /home/atlas/.ssh; ssh-keygen -A`);
    await world.desk.query('update ssh_accesses set username = $2 where id = $1', [good.id, 'atlas']);
    expect(await world.test(good.id)).toMatchObject({ ok: false, fault: 'no_root' });
    await host.exec("echo 'atlas ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/atlas");
    expect(await world.test(good.id)).toMatchObject({ ok: true });

    await host.exec('mv /usr/bin/python3 /usr/bin/python3.away');
    expect(await world.test(good.id)).toMatchObject({ ok: false, fault: 'no_python' });
    await host.exec('mv /usr/bin/python3.away /usr/bin/python3');

    await host.exec('rm /etc/ssh/ssh_host_*; ssh-keygen -A; systemctl restart ssh');
    expect(await world.test(good.id)).toMatchObject({ ok: false, fault: 'wrong_host_key' });
    await host.exec('systemctl stop ssh.socket ssh.service');
    expect(await world.test(good.id)).toMatchObject({ ok: false, fault: 'unreachable' });
  });

  it('gives its private key to nobody', async () => {
    const answers = JSON.stringify(await world.desk.must('chief', 'listSshAccesses'));
    const inDatabase = JSON.stringify([
      await world.desk.query('select * from ssh_accesses'),
      await world.desk.query("select convert_from(leaf, 'UTF8') as leaf from audit_entries"),
      await world.desk.query("select encode(sealed, 'escape') as sealed from sealed_secrets"),
    ]);
    const secret = world.key.privateKey.split('\n').slice(3, 5).join('');
    expect(inDatabase).toContain('ssh_access.created');
    for (const text of [answers, inDatabase]) {
      expect(text).not.toContain('PRIVATE KEY');
      expect(text).not.toContain(secret.slice(0, 40));
    }
  });
});

describe('words of people and hosts', () => {
  it('never become code, on the server or on the host', async () => {
    const evil = '{{ 7 * 7 }} $(touch /tmp/atlas-pwned) {{ lookup("pipe", "touch /tmp/atlas-pwned") }}';
    const release = path.join(world.folder, 'os-release');
    await writeFile(release, `PRETTY_NAME='${evil}'\nID=debian\nVERSION_ID="12"\n`);
    const { host, hostId, accessId } = await drivenHost('ssh-words', false, (made) =>
      made.copyIn(release, '/etc/os-release'),
    );
    expect((await world.detail(hostId)).inventory?.os.name).toContain('{{ 7 * 7 }} $(touch');

    const params = { sshAccessId: accessId };
    await world.desk.must('chief', 'deactivateSshAccess', { params, body: { reason: 'Essai' } });
    const { type: hostKeyType, key: hostKey } = await world.hostKey(host);
    const target = { address: host.address, port: 22, user: 'root', hostKeyType, hostKey };
    const access = { target, privateKey: world.key.privateKey };
    const runner = new SshRunner({
      ...{ roomDirectory: playbookRoom, installDirectory: world.agentless, hide: [], clock: systemClock },
    });
    await vi.waitFor(
      () =>
        host
          .exec('test ! -e /var/lib/atlas-agent/visited-only')
          .then(({ exitCode }) => expect(exitCode).toBe(0)),
      patience,
    );
    expect(await runner.visit(access, { kind: 'take' })).toEqual({ kind: 'done' });
    const conversationId = randomUUID();
    await runner.visit(access, { kind: 'open', conversationId });
    const frames = [{ type: 'refused' as const, code: '{{ 7 * 7 }}', detail: evil }];
    await runner.visit(access, { kind: 'frames', conversationId, frames, waitMs: 0 });
    const heard = await host.exec('journalctl --no-pager --unit atlas-engine --output cat');
    expect(heard.stdout).toContain(JSON.stringify(evil));
    expect((await host.exec('test -e /tmp/atlas-pwned')).exitCode).not.toBe(0);
    expect(existsSync('/tmp/atlas-pwned')).toBe(false);
  });

  it('that could be an option, a template or a shell word are no address and no user', () => {
    const create = (bend: object) =>
      Value.Check(SshAccessCreate, {
        ...{ siteId: randomUUID(), name: 'x', address: 'srv-1.example', port: 22, user: 'root' },
        ...{ privateKey: world.key.privateKey, hostKey: { type: 'ssh-ed25519', key: 'A'.repeat(68) } },
        ...bend,
      });
    expect(create({})).toBe(true);
    expect(create({ address: '2001:db8::1' })).toBe(true);
    for (const address of ['-oProxyCommand=id', '{{x}}', '$(id)', 'a b', 'a;b', 'a/b', "a'b", 'a\nb'])
      expect(create({ address })).toBe(false);
    for (const user of ['-l', 'root{{x}}', 'a b', '$(id)', 'a@b']) expect(create({ user })).toBe(false);
  });
});

describe('a host that SSH drives', () => {
  it('is read, guarded, updated, restarted, checked and committed by the same engine, and the log says by whom', async () => {
    const { host, hostId } = await drivenHost('ssh-good');
    const { host: summary, inventory } = await world.detail(hostId);
    expect(summary).toMatchObject({ reach: 'ssh', agentState: 'connected', guardTier: 'btrfs' });
    expect(inventory?.updates.length).toBeGreaterThan(3);
    const bootId = await host.bootId();

    const runId = await world.release(hostId);
    await world.until(runId, ['committed']);
    expect(await host.bootId()).not.toBe(bootId);
    expect((await host.exec('systemctl is-active nginx')).stdout.trim()).toBe('active');
    const pending = await host.exec('apt-get -s dist-upgrade | grep -c ^Inst');
    expect(pending.stdout.trim()).toBe('0');

    const results = await world.desk.query<{ leaf: Buffer | string }>(
      "select convert_from(leaf, 'UTF8') as leaf from audit_entries where action = 'command.result'",
    );
    expect(results.length).toBeGreaterThan(5);
    for (const { leaf } of results)
      expect(JSON.parse(String(leaf))).toMatchObject({
        actorKind: 'system',
        actorId: null,
        details: { by: 'runner' },
      });
  });

  it('goes back when its checks are red, by order over SSH', async () => {
    const { host, hostId } = await drivenHost('ssh-broken', true);
    const runId = await world.release(hostId, 'lab-portal');
    await world.until(runId, ['rolled_back']);
    expect(await installedPortal(host)).toBe('1.0');
    expect((await host.exec('systemctl is-active nginx')).stdout.trim()).toBe('active');
  });

  it('goes back by itself when SSH is cut before the commit', async () => {
    const { host, hostId } = await drivenHost('ssh-cut', true);
    const runId = await world.release(hostId, 'lab-portal');
    await world.until(runId, ['verifying', 'rollback_decision', 'restarting', 'awaiting_restart']);
    const bootId = await host.bootId();
    await host.cutNetwork();
    const second = await host.waitForReboot(bootId, 240_000);
    // The restart of the update may have been under way already: then the way back is the next one.
    if ((await installedPortal(host)) !== '1.0') await host.waitForReboot(second, 300_000);
    expect(await installedPortal(host)).toBe('1.0');
    await host.healNetwork();
    await world.until(runId, ['rolled_back']);
  });
});

describe('a host whose agent is dead', () => {
  it('is reached over SSH with the same identity, journal and state when a person says so, and given back', async () => {
    const host = await world.host('ssh-dead');
    const hostId = await world.enrol(host);
    await vi.waitFor(async () => expect((await world.detail(hostId)).inventory).not.toBeNull(), patience);
    const agentId = (await world.detail(hostId)).agent?.id;
    await host.exec(
      'systemctl stop atlas-agent; mv /usr/lib/atlas-agent/node /usr/lib/atlas-agent/node.away',
    );
    await vi.waitFor(
      async () => expect((await world.detail(hostId)).host.agentState).toBe('silent'),
      patience,
    );

    const { id } = await world.access(host, { hostId });
    await world.activate(id);
    await vi.waitFor(async () => {
      expect(await world.find(id)).toMatchObject({ state: 'active', fault: null, hostId });
      const { host: summary, agent } = await world.detail(hostId);
      expect(summary).toMatchObject({ reach: 'ssh', agentState: 'connected' });
      expect(agent).toMatchObject({ id: agentId, reach: 'ssh' });
    }, patience);
    const before = (await world.detail(hostId)).inventory?.collectedAt;
    await world.desk.must('chief', 'scanHost', { params: { hostId } });
    await vi.waitFor(
      async () => expect((await world.detail(hostId)).inventory?.collectedAt).not.toBe(before),
      patience,
    );

    await host.exec('mv /usr/lib/atlas-agent/node.away /usr/lib/atlas-agent/node');
    const params = { sshAccessId: id };
    await world.desk.must('chief', 'deactivateSshAccess', { params, body: { reason: 'Agent réparé' } });
    await vi.waitFor(async () => {
      const { host: summary, agent } = await world.detail(hostId);
      expect(summary).toMatchObject({ reach: 'agent', agentState: 'connected' });
      expect(agent).toMatchObject({ id: agentId });
    }, patience);
  });
});
