import { createHash, randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { payloadTypes } from '#contract/dsse.ts';
import type { Inventory, PendingUpdate } from '#contract/inventory.ts';
import type { CommandResult } from '#contract/results.ts';
import type { Order } from '#contract/trust.ts';
import type { HealthCheck, PinnedPackage } from '#contract/verbs.ts';
import { buildAgentDeb, bundleAgent } from '../../agent/packaging/build-deb.ts';
import type { LabHost } from '../../lab/host.ts';
import { createLab } from '../../lab/lab.ts';
import type { Lab } from '../../lab/lab.ts';
import { resetLab } from '../../lab/reset-lab.ts';
import { AgentsServer, readCommand } from '../harness/agents-server.ts';
import { commandFor, createWorld, jcs, releaseFor } from '../harness/release-world.ts';
import type { Released } from '../harness/release-world.ts';
import { readResults } from '../harness/signed-results.ts';
import { signEnvelope } from '../harness/software-key.ts';

const repository = path.resolve(import.meta.dirname, '../..');
const cacheDir = process.env['ATLAS_CACHE_DIR'] ?? path.join(repository, '.atlas/cache');
let stateDir: string;
let lab: Lab;
let debPath: string;
const servers: AgentsServer[] = [];

beforeAll(async () => {
  stateDir = await mkdtemp(path.join(tmpdir(), 'atlas-agent-lab-'));
  lab = await createLab({ stateDir, cacheDir, log: () => undefined });
  debPath = await buildAgentDeb({
    outDir: path.join(stateDir, 'deb'),
    nodeBinary: process.execPath,
    version: '0.1.0',
  });
});

afterAll(async () => {
  for (const server of servers) await server.stop();
  await resetLab(stateDir);
  await rm(stateDir, { recursive: true, force: true });
});

/** A lab host with the agent installed as a user does it, and a server of its own to talk to. */
class HostUnderTest {
  readonly host: LabHost;
  readonly server: AgentsServer;
  hostRunId = randomUUID();
  released: Released | null = null;
  /** One log for all releases: another one would be a fork, and the agent would say so. */
  readonly logLeaves: Buffer[] = [];

  private constructor(host: LabHost, server: AgentsServer) {
    this.host = host;
    this.server = server;
  }

  static async create(name: string, brokenPackagePending: boolean): Promise<HostUnderTest> {
    const [host] = await lab.create([{ name, brokenPackagePending }]);
    const server = await AgentsServer.start(createWorld(), lab.gatewayAddress);
    servers.push(server);
    await host!.installAgent({ debPath, enrolLine: `atlas-agent enrol ${server.token()}` });
    return new HostUnderTest(host!, server);
  }

  async scan(): Promise<Inventory> {
    this.server.frames.length = 0;
    this.server.send({ type: 'commands', commands: [readCommand('inventory.scan')] });
    return (await this.server.waitFor('inventory', () => true, 120_000)).inventory;
  }

  release(orders: Order[]): void {
    this.hostRunId = randomUUID();
    this.released = releaseFor(this.server.world, { target: { orders }, logLeaves: this.logLeaves });
    this.server.send({ type: 'release', releaseId: this.released.release.id, bundle: this.released.bundle });
  }

  /** Asks the agent to become a version, signed by the root key, and waits for what comes of it. */
  async become(
    version: string,
    program: string | Buffer,
    hasten: () => Promise<void> = async () => undefined,
  ) {
    const { world } = this.server;
    const bytes = gzipSync(program);
    const document = {
      ...{ v: 1, tenant: world.tenantId, version, platform: 'linux-x64', bytes: bytes.length },
      sha256: createHash('sha256').update(bytes).digest('hex'),
      issuedAt: new Date().toISOString(),
      expiresAt: new Date(Date.now() + 600_000).toISOString(),
    };
    const envelope = signEnvelope(payloadTypes.agentBuild, jcs(document), [world.root]);
    const askId = randomUUID();
    const { frames } = this.server;
    const hastened = hasten();
    for (;;) {
      this.server.send({ type: 'build', askId, envelope, artefact: bytes.toString('base64url') });
      const came = await this.server.waitFor('buildOutcome', (frame) => frame.askId === askId, 60_000);
      if (came.outcome !== 'postponed') return hastened.then(() => came);
      // The host was busy, looking at itself for instance: asked again, as the server does.
      frames.splice(frames.indexOf(came), 1);
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }

  order(step: Order['step']): string {
    const command = commandFor(this.released!, step, this.hostRunId);
    this.server.send({ type: 'commands', commands: [command] });
    return command.commandId;
  }

  async result(fits: (result: CommandResult) => boolean, limitMs: number): Promise<CommandResult> {
    const frame = await this.server.waitFor(
      'results',
      (one) => one.envelopes.flatMap(readResults).some(fits),
      limitMs,
    );
    return frame.envelopes.flatMap(readResults).find(fits)!;
  }

  /** Orders a step and waits for its end. */
  async run(step: Order['step'], limitMs = 120_000): Promise<CommandResult> {
    const commandId = this.order(step);
    return this.result((result) => result.commandId === commandId, limitMs);
  }
}

function pin(updates: readonly PendingUpdate[]): PinnedPackage[] {
  return updates.map(({ name, arch, fromVersion, version, sha256 }) => ({
    name,
    arch,
    fromVersion,
    version,
    sha256: sha256 ?? '',
  }));
}

const webCheck: HealthCheck = { kind: 'http', url: 'http://127.0.0.1/health', status: 200, contains: 'up' };

function ordersFor(
  packages: PinnedPackage[],
  bend: { confirmWithinS?: number; silentS?: number } = {},
): Order[] {
  const checks: HealthCheck[] = [{ kind: 'systemd', unit: 'nginx.service' }, webCheck];
  const { confirmWithinS = 600, silentS = 120 } = bend;
  return [
    { step: 'preflight', verb: 'host.preflight', args: { minFreeBytes: 100_000_000 } },
    {
      step: 'guard',
      verb: 'guard.create',
      args: { tier: 'btrfs', minFreeBytes: 100_000_000, confirmWithinS, silentS },
    },
    { step: 'download', verb: 'updates.download', args: { packages } },
    { step: 'install', verb: 'updates.install', args: { packages } },
    { step: 'restart', verb: 'host.restart', args: { onlyIfRequired: false } },
    {
      step: 'verify',
      verb: 'health.verify',
      args: {
        checks: [
          ...checks,
          { kind: 'approved_updates_installed' },
          { kind: 'command', id: 'dpkg_audit_clean' },
        ],
        withinS: 20,
      },
    },
    { step: 'commit', verb: 'guard.commit', args: { keepHours: 0 } },
    { step: 'rollback', verb: 'guard.rollback', args: { checks, withinS: 60 } },
  ];
}

const hookLog = '/root/site-hooks';

/** A second service, and the site's own programs: they note when they ran, and whether the first service was up then. */
async function installSite(host: LabHost): Promise<void> {
  const program = (name: string) =>
    `printf '#!/bin/sh\\n[ ! -e /root/slow ] || . /root/slow\\necho ${name} $(systemctl is-active nginx) >>${hookLog}\\n' >/etc/atlas/hooks/${name}`;
  const unit = '[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n';
  await host.exec(
    `printf '${unit}' >/etc/systemd/system/lab-app.service && systemctl enable --now lab-app.service`,
  );
  await host.exec(
    `mkdir -p /etc/atlas/hooks && ${program('drain')} && ${program('undrain')} && chmod 755 /etc/atlas/hooks/*`,
  );
}

const drainOrders = (returnWithinS: number): Order[] => [
  {
    step: 'drain',
    verb: 'host.drain',
    args: {
      hookWithinS: 30,
      units: [
        { unit: 'nginx.service', withinS: 30 },
        { unit: 'lab-app.service', withinS: 30 },
      ],
      returnWithinS,
    },
  },
  { step: 'undrain', verb: 'host.undrain', args: {} },
];

describe('the agent on a real Debian host', () => {
  it('updates real packages behind a snapshot, restarts, proves it and commits', async () => {
    const under = await HostUnderTest.create('agent-good', false);
    const inventory = await under.scan();
    expect(inventory).toMatchObject({
      guardTier: 'btrfs',
      packageManager: 'apt',
      updatesError: null,
      os: { id: 'debian' },
    });
    const security = inventory.updates.filter((update) => update.security);
    expect(security.length).toBeGreaterThan(3);
    expect(inventory.updates.every((update) => update.sha256 !== null && update.downloadBytes > 0)).toBe(
      true,
    );
    under.release(ordersFor(pin(inventory.updates)));
    expect(await under.run('preflight')).toMatchObject({ outcome: 'succeeded' });
    expect(await under.run('guard')).toMatchObject({
      outcome: 'succeeded',
      facts: { snapshotId: under.hostRunId },
    });
    expect(await under.run('download', 300_000)).toMatchObject({ outcome: 'succeeded', code: 'ok' });
    const install = await under.run('install', 300_000);
    expect(install).toMatchObject({ outcome: 'succeeded', code: 'ok' });
    expect(install.facts.installed).toHaveLength(inventory.updates.length);
    const restart = await under.run('restart', 120_000);
    expect(restart).toMatchObject({ outcome: 'succeeded', code: 'ok' });
    expect(restart.facts.bootIdAfter).not.toBe(restart.facts.bootIdBefore);
    expect(await under.run('verify')).toMatchObject({ outcome: 'succeeded' });
    expect(await under.run('commit')).toMatchObject({ outcome: 'succeeded' });
    expect((await under.scan()).updates).toEqual([]);
    const left = await under.host.exec('ls /var/lib/atlas-agent/snapshots /var/lib/atlas-agent/guardian');
    expect(left.stdout).not.toContain(under.hostRunId);
    expect(await under.run('install')).toMatchObject({ outcome: 'refused', code: 'step_out_of_order' });
  });

  it('turns a broken update back by order, by itself when cut off, and by the guardian when it is dead', async () => {
    const under = await HostUnderTest.create('agent-broken', true);
    const broken = (await under.scan()).updates.filter((update) => update.name === 'lab-portal');
    expect(broken).toHaveLength(1);
    const isBack = async () => {
      const version = await under.host.exec("dpkg-query -W -f '${Version}' lab-portal");
      expect(version.stdout).toBe('1.0');
      expect((await under.host.exec('systemctl is-active nginx')).stdout.trim()).toBe('active');
    };
    const begin = async (bend: Parameters<typeof ordersFor>[1] = {}) => {
      under.release(ordersFor(pin(broken), bend));
      for (const step of ['preflight', 'guard', 'download', 'install'] as const)
        expect(await under.run(step)).toMatchObject({ outcome: 'succeeded' });
    };

    await begin();
    expect(await under.run('verify')).toMatchObject({ outcome: 'failed', code: 'check_failed' });
    const ordered = await under.run('rollback');
    expect(ordered).toMatchObject({ outcome: 'succeeded', facts: { rollbackBy: 'order' } });
    console.log('rollback by order', ordered.facts.phasesMs);
    expect(ordered.facts.phasesMs?.['green']).toBeLessThan(120_000);
    await isBack();

    await begin();
    under.order('verify');
    await under.server.closeLink();
    await new Promise((resolve) => setTimeout(resolve, 45_000));
    await under.server.openLink();
    const hostRun = under.hostRunId;
    const alone = await under.result((one) => one.hostRunId === hostRun && one.step === 'rollback', 120_000);
    expect(alone).toMatchObject({ outcome: 'succeeded', facts: { rollbackBy: 'agent' } });
    console.log('rollback by the agent alone', alone.facts.phasesMs);
    await isBack();

    await begin({ confirmWithinS: 30 });
    await under.host.exec('systemctl mask --runtime --now atlas-agent.service');
    const bootId = await under.host.bootId();
    await under.host.waitForReboot(bootId, 120_000);
    const deadRun = under.hostRunId;
    const guardian = await under.result(
      (one) => one.hostRunId === deadRun && one.step === 'rollback',
      120_000,
    );
    expect(guardian).toMatchObject({ outcome: 'succeeded', facts: { rollbackBy: 'guardian' } });
    console.log('rollback by the guardian', guardian.facts.phasesMs);
    await isBack();
  });

  it('takes the work of a host away and brings it back, through a dead agent, a rollback and a silent server', async () => {
    const under = await HostUnderTest.create('agent-drain', true);
    const { host } = under;
    const updates = (await under.scan()).updates.filter(({ name }) => name === 'lab-portal');
    await installSite(host);
    const hooks = async () => (await host.exec(`cat ${hookLog}; rm -f ${hookLog}`)).stdout.trim().split('\n');
    const units = async () =>
      (await host.exec('systemctl is-active nginx lab-app')).stdout.trim().split('\n').join(' ');
    const begin = async (returnWithinS = 900) => {
      under.release([...ordersFor(pin(updates)), ...drainOrders(returnWithinS)]);
      for (const step of ['preflight', 'guard', 'download'] as const)
        expect(await under.run(step)).toMatchObject({ outcome: 'succeeded' });
    };

    await begin();
    expect(await under.run('install')).toMatchObject({ outcome: 'refused', code: 'step_out_of_order' });
    const drained = await under.run('drain');
    expect(drained).toMatchObject({
      outcome: 'succeeded',
      facts: { drained: true, drainedUnits: ['nginx.service', 'lab-app.service'] },
    });
    expect([await units(), await hooks()]).toEqual(['inactive inactive', ['drain active']]);
    expect(await under.run('undrain')).toMatchObject({ outcome: 'succeeded', facts: { drained: false } });
    expect([await units(), await hooks()]).toEqual(['active active', ['undrain active']]);

    // The agent dies while the site's program is at work: what it began goes on, and is not begun again.
    await begin();
    await host.exec('echo sleep 6 >/root/slow');
    const cut = under.order('drain');
    await new Promise((resolve) => setTimeout(resolve, 3000));
    await host.exec('systemctl kill --kill-whom=main --signal=KILL atlas-agent.service');
    const found = await under.result(({ commandId }) => commandId === cut, 60_000);
    expect(found).toMatchObject({ outcome: 'succeeded', code: 'ok', facts: { drained: true } });
    await host.exec('rm /root/slow');
    expect([await units(), await hooks()]).toEqual(['inactive inactive', ['drain active']]);

    // Turned back by order: the work comes back with the snapshot, without an order of its own.
    expect(await under.run('install')).toMatchObject({ outcome: 'succeeded' });
    const back = await under.run('rollback');
    expect(back).toMatchObject({ outcome: 'succeeded', facts: { rollbackBy: 'order', drained: false } });
    console.log('rollback of a drained host', back.facts.phasesMs);
    expect([await units(), await hooks()]).toEqual(['active active', ['undrain active']]);

    // Nobody speaks any more, and the agent is dead: the host brings its work back by itself.
    await begin(60);
    expect(await under.run('drain')).toMatchObject({ outcome: 'succeeded' });
    await host.exec('systemctl mask --runtime --now atlas-agent.service');
    await new Promise((resolve) => setTimeout(resolve, 50_000));
    for (let tries = 0; tries < 20 && (await units()) !== 'active active'; tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 2000));
    expect([await units(), await hooks()]).toEqual(['active active', ['drain active', 'undrain active']]);
  });

  it('becomes another version of itself, and goes back from one that crashes and from one that hangs', async () => {
    const under = await HostUnderTest.create('agent-update', false);
    const { host } = under;
    const file = path.join(stateDir, 'agent-0.2.0.mjs');
    await bundleAgent(file, '0.2.0');
    const version = async () => (await host.exec('atlas-agent version')).stdout.trim();
    expect(await version()).toBe('0.1.0');
    const updated = await under.become('0.2.0', await readFile(file));
    expect(updated).toMatchObject({ outcome: 'updated', running: '0.2.0', version: '0.2.0' });
    expect(await version()).toBe('0.2.0');

    // Starts well enough to say its name, then ends: three starts, and the version before is there again.
    const only = (what: string, name: string) =>
      `if (process.argv[2] === 'version') console.log('${name}'); else ${what};`;
    const crashed = await under.become('0.3.0', only('process.exit(1)', '0.3.0'));
    expect(crashed).toMatchObject({
      outcome: 'reverted',
      code: 'not_proven',
      running: '0.2.0',
      version: '0.3.0',
    });

    // Neither ends nor speaks: the watch of the package leaves it when its time is over.
    const hung = await under.become('0.4.0', only('setInterval(() => 0, 1000)', '0.4.0'), async () => {
      const pointer = '/var/lib/atlas-agent/versions/current';
      const isOn = `grep -qx version=0.4.0 ${pointer} && grep -qx starts=1 ${pointer}`;
      await host.exec(`for n in $(seq 300); do ${isOn} && break; sleep 0.2; done`);
      await host.exec(`sed -i 's/^since_uptime_s=.*/since_uptime_s=-600/' ${pointer}`);
    });
    expect(hung).toMatchObject({ outcome: 'reverted', running: '0.2.0', version: '0.4.0' });
    expect(hung.detail).toContain('no healthy contact');
    expect(await version()).toBe('0.2.0');
    const kept = await host.exec('ls /var/lib/atlas-agent/versions');
    expect(kept.stdout.trim().split('\n')).toEqual(expect.arrayContaining(['0.2.0', 'current']));
  });
});
