import { findService } from '../../stack/daemonState.ts';
import type { HostRunSummary } from '#contract/runs.ts';
import type { Text } from '../../stack/text.ts';
import type { CliContext } from '../context.ts';
import { victims } from './drill.hosts.ts';
import type { DrillHost } from './drill.hosts.ts';

const unitFolder = '/etc/systemd/system';

/** Puts the package that the host had before back at every boot, before the agent looks. */
const updateLoopUnit = `[Unit]
Description=Drill: puts the former version back
Before=atlas-agent.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'dpkg --force-downgrade -i /root/drill/lab-site_1.0_all.deb'
[Install]
WantedBy=multi-user.target
`;

/** Restarts the host some seconds after each boot, as long as the new version is on it. */
const rebootLoopUnit = `[Unit]
Description=Drill: restarts an updated host again and again
[Service]
ExecStart=/bin/sh -c '[ "$(dpkg-query -W -f "\\$\${Version}" lab-site)" = 1.0 ] || { sleep 8; systemctl reboot --force; }'
[Install]
WantedBy=multi-user.target
`;

async function install(host: DrillHost | undefined, unit: string): Promise<void> {
  const lines = [
    'mkdir -p /root/drill && cd /root/drill',
    'test -s lab-site_1.0_all.deb || apt-get download -q lab-site=1.0',
    `cat > ${unitFolder}/drill.service`,
    'systemctl daemon-reload && systemctl enable -q drill.service',
  ];
  const done = await host?.lab.exec(lines.join(' && '), { input: Buffer.from(unit) });
  if (done?.exitCode !== 0) throw new Error(`the drill could not prepare a host: ${done?.stderr.trim()}`);
}

/** What waits on the hosts for the moment when they are updated. */
export async function layTraps(hosts: ReadonlyMap<string, DrillHost>): Promise<void> {
  await install(hosts.get(victims.updateLoop), updateLoopUnit);
  await install(hosts.get(victims.rebootLoop), rebootLoopUnit);
}

/** Takes the traps away, so that the hosts can be used again. */
export async function takeTrapsAway(hosts: ReadonlyMap<string, DrillHost>): Promise<void> {
  for (const name of [victims.updateLoop, victims.rebootLoop])
    await hosts.get(name)?.lab.exec(`systemctl disable -q drill.service; rm -f ${unitFolder}/drill.service`);
}

const changing = new Set(['installing', 'awaiting_restart', 'restarting', 'verifying']);

/** Mishaps that come when the run has reached a certain point; each once. */
export class Mishaps {
  readonly #context: CliContext;
  readonly #hosts: ReadonlyMap<string, DrillHost>;
  readonly #happened = new Set<string>();

  constructor(context: CliContext, hosts: ReadonlyMap<string, DrillHost>) {
    this.#context = context;
    this.#hosts = hosts;
  }

  /** How often the server was killed. */
  get serverKills(): number {
    return [...this.#happened].filter((name) => name.startsWith('server')).length;
  }

  /** Lets happen what is due, given where the hosts are. */
  async look(hostRuns: readonly HostRunSummary[]): Promise<void> {
    const isIn = (prefix: string, states: ReadonlySet<string>): boolean =>
      hostRuns.some(({ hostname, state }) => hostname.startsWith(prefix) && states.has(state));
    if (isIn('data', new Set(['installing']))) await this.#once('server, first', () => this.#killServer());
    if (isIn('apps', changing)) await this.#once('server, second', () => this.#killServer());
    if (isIn(victims.dying, changing)) await this.#once('power', () => this.#cutPower());
  }

  async #once(name: string, act: () => Promise<void>): Promise<void> {
    if (this.#happened.has(name)) return;
    this.#happened.add(name);
    await act();
  }

  #say(line: Text): void {
    this.#context.say(line);
  }

  #killServer(): Promise<void> {
    const server = findService(this.#context.directories.stateDir, 'server');
    if (server === undefined) throw new Error('no server runs here');
    process.kill(server.pid, 'SIGKILL');
    this.#say(['  ⚡ le serveur ATLAS est tué net', '  ⚡ the ATLAS server is killed']);
    return Promise.resolve();
  }

  async #cutPower(): Promise<void> {
    const { dying } = victims;
    await this.#hosts.get(dying)?.lab.kill();
    this.#say([
      `  ⚡ ${dying} perd son alimentation au milieu de la mise à jour`,
      `  ⚡ ${dying} loses its power in the middle of the update`,
    ]);
  }
}
