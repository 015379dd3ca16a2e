import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { HostDetail } from '#contract/fleet.ts';
import type { MaintenancePolicyBody, MaintenancePolicy } from '#contract/plans.ts';
import type { SshAccess, SshHostKey, SshTest } from '#contract/reach.ts';
import type { RunDetail } from '#contract/runs.ts';
import { buildAgentDeb } from '../../agent/packaging/build-deb.ts';
import { buildEngine } from '../../agent/packaging/build-engine.ts';
import type { LabHost } from '../../lab/host.ts';
import { createLab } from '../../lab/lab.ts';
import type { Lab } from '../../lab/lab.ts';
import { resetLab } from '../../lab/reset-lab.ts';
import { installAnsible } from '../../stack/agentless.ts';
import { findDirectories } from '../../stack/directories.ts';
import { createOpensshKey } from './openssh-key.ts';
import { monthly, ReleaseDesk } from './release-desk.ts';

/** Installs the SSH runner as `./atlas agentless install` does. */
async function installRunner(stateDir: string): Promise<string> {
  const directory = path.join(findDirectories().cacheDir, 'agentless');
  await installAnsible({ directory, stateDir });
  await buildEngine({ outDir: directory, nodeBinary: process.execPath, version: '0.1.0' });
  return directory;
}

const policy: MaintenancePolicyBody = {
  ...monthly,
  updates: { select: 'all', excludePackages: [] },
  guard: { mode: 'required', minFreeGiB: 1, keepHours: 0 },
  restart: 'always',
  health: {
    checks: [
      { kind: 'systemd', unit: 'nginx.service' },
      { kind: 'tcp', port: 80 },
    ],
    withinS: 30,
  },
  commitConfirm: { confirmWithinS: 900, silentS: 90 },
};

/** The whole server, people who sign, and real hosts that have an SSH server and no agent. */
export class SshLab {
  readonly desk: ReleaseDesk;
  readonly lab: Lab;
  readonly folder: string;
  /** Where the runner is installed. */
  readonly agentless: string;
  readonly key: { readonly privateKey: string; readonly line: string };
  #policyId = '';

  private constructor(parts: Pick<SshLab, 'desk' | 'lab' | 'folder' | 'agentless' | 'key'>) {
    this.desk = parts.desk;
    this.lab = parts.lab;
    this.folder = parts.folder;
    this.agentless = parts.agentless;
    this.key = parts.key;
  }

  static async open(): Promise<SshLab> {
    const folder = await mkdtemp(path.join(tmpdir(), 'atlas-ssh-lab-'));
    const { cacheDir } = findDirectories();
    const agentless = await installRunner(folder);
    const lab = await createLab({ stateDir: folder, cacheDir, log: () => undefined });
    const desk = await ReleaseDesk.open(
      { chief: ['tenant_admin', 'operator'], alice: ['approver'], bernard: ['approver'] },
      {
        roles: 'all',
        environment: {
          ATLAS_AGENTLESS_DIR: agentless,
          // Agents of the lab's hosts reach the server over the lab's bridge.
          ...{ ATLAS_AGENTS_HOST: lab.gatewayAddress, ATLAS_ENROL_HOST: lab.gatewayAddress },
          ATLAS_AGENTS_NAMES: lab.gatewayAddress,
        },
      },
    );
    const world = new SshLab({ desk, lab, folder, agentless, key: createOpensshKey() });
    for (const name of ['alice', 'bernard']) await desk.enrolKey(name);
    await desk.publish('chief');
    const made = await desk.must<MaintenancePolicy>('chief', 'createMaintenancePolicy', { body: policy });
    world.#policyId = made.id;
    return world;
  }

  async close(): Promise<void> {
    await this.desk.close();
    await resetLab(this.folder);
    await rm(this.folder, { recursive: true, force: true });
  }

  /** A machine with an SSH server, Python and our key, and nothing of ATLAS. */
  async host(name: string, brokenPackagePending = false): Promise<LabHost> {
    const [host] = await this.lab.create([{ name, brokenPackagePending }]);
    if (host === undefined) throw new Error('the lab made no host');
    const packages = 'openssh-server python3 sudo';
    const install = `DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ${packages}`;
    const done = await host.exec(`apt-get update --quiet=2; ${install}`, { timeoutMs: 300_000 });
    if (done.exitCode !== 0) throw new Error(done.stderr);
    await this.trust(host, this.key.line);
    return host;
  }

  async trust(host: LabHost, line: string): Promise<void> {
    const file = path.join(this.folder, 'authorized_keys');
    await writeFile(file, `${line}\n`);
    await host.copyIn(file, '/root/.ssh/authorized_keys', '0600');
  }

  async hostKey(host: LabHost): Promise<SshHostKey> {
    const { keys } = await this.desk.must<{ keys: SshHostKey[] }>('chief', 'readSshHostKeys', {
      body: { address: host.address, port: 22 },
    });
    const key = keys.find(({ type }) => type === 'ssh-ed25519');
    if (key === undefined) throw new Error('the host shows no key');
    return key;
  }

  async access(host: LabHost, bend: Record<string, unknown> = {}): Promise<SshAccess> {
    const { type, key } = await this.hostKey(host);
    return this.desk.must<SshAccess>('chief', 'createSshAccess', {
      body: {
        ...{ siteId: this.desk.siteId, name: host.name, address: host.address, port: 22, user: 'root' },
        ...{ privateKey: this.key.privateKey, hostKey: { type, key } },
        ...bend,
      },
    });
  }

  test(accessId: string): Promise<SshTest> {
    return this.desk.must<SshTest>('chief', 'testSshAccess', { params: { sshAccessId: accessId } });
  }

  async find(accessId: string): Promise<SshAccess> {
    const { items } = await this.desk.must<{ items: SshAccess[] }>('chief', 'listSshAccesses');
    const access = items.find(({ id }) => id === accessId);
    if (access === undefined) throw new Error('there is no such access');
    return access;
  }

  async activate(accessId: string): Promise<void> {
    const params = { sshAccessId: accessId };
    await this.desk.must('chief', 'activateSshAccess', { params, body: { reason: 'Sans agent' } });
  }

  /** Installs the agent's package and enrols, as an administrator does. */
  async enrol(host: LabHost): Promise<string> {
    const debPath = await buildAgentDeb({
      outDir: path.join(this.folder, 'deb'),
      nodeBinary: process.execPath,
      version: '0.1.0',
    });
    const { line } = await this.desk.must<{ line: string }>('chief', 'createEnrolmentToken', {
      body: { siteId: this.desk.siteId, expiresInMinutes: 60 },
    });
    await host.installAgent({ debPath, enrolLine: line });
    const rows = await this.desk.query<{ id: string }>('select id from hosts where hostname = $1', [
      host.name,
    ]);
    return rows[0]?.id ?? '';
  }

  detail(hostId: string): Promise<HostDetail> {
    return this.desk.must<HostDetail>('chief', 'getHost', { params: { hostId } });
  }

  /** A policy that takes one package of what is pending. */
  async #policyFor(hostId: string, only: string): Promise<string> {
    const { inventory } = await this.detail(hostId);
    const names = [...new Set((inventory?.updates ?? []).map(({ name }) => name))];
    const updates = { select: 'all', excludePackages: names.filter((name) => name !== only) };
    const { id } = await this.desk.must<MaintenancePolicy>('chief', 'createMaintenancePolicy', {
      body: { ...policy, name: `${only} ${hostId}`, updates },
    });
    return id;
  }

  /** Plans what is pending, or one package of it; two people sign, and the run begins. Returns the run. */
  async release(hostId: string, only?: string): Promise<string> {
    const policyId = only === undefined ? this.#policyId : await this.#policyFor(hostId, only);
    const request = this.desk.request(policyId, [hostId]);
    const { plan } = await this.desk.plan('chief', request);
    const { body: release } = await this.desk.draft('chief', plan.id);
    for (const name of ['alice', 'bernard']) {
      const signed = await this.desk.sign(name, release);
      if (signed.status >= 300) throw new Error(JSON.stringify(signed.body));
    }
    for (;;) {
      const rows = await this.desk.query<{ id: string }>('select id from runs where release_id = $1', [
        release.release.id,
      ]);
      if (rows[0] !== undefined) return rows[0].id;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  run(runId: string): Promise<RunDetail> {
    return this.desk.must<RunDetail>('chief', 'getRun', { params: { runId } });
  }

  /** Resolves once a host run has reached one of these states; fails when it has ended in another one. */
  async until(runId: string, states: readonly string[], limitMs = 900_000): Promise<string> {
    const untilMs = Date.now() + limitMs;
    for (;;) {
      const rows = await this.desk.query<{ state: string; ended_at: Date | null }>(
        'select state, ended_at from host_runs where run_id = $1',
        [runId],
      );
      const state = rows[0]?.state ?? 'none';
      if (states.includes(state)) return state;
      if (rows[0]?.ended_at != null || Date.now() > untilMs)
        throw new Error(`the host run is ${state}: ${JSON.stringify(await this.run(runId))}`);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }
}
