import path from 'node:path';
import type {
  InstallOutcome,
  InstallState,
  PackageFault,
  PackageOperation,
  PackageProvider,
} from '../../../agent/src/host/packages.port.ts';
import { loop } from '../os/loop.ts';
import { hostFaults, hostHere, type SimulatedHost } from './simulatedHost.ts';

type Operation = Omit<PackageOperation, 'onProgress'>;

/** What goes wrong with packages; the world sets it. */
export const packageFaults = {
  /** Probability that a download does not reach its repository. */
  network: 0,
  /** Probability that an installation fails before it changes anything. */
  busy: 0,
  /** Probability that the script of one of the packages fails: those before it are in place. */
  script: 0,
};

const commandOf = (operation: Operation): string => path.basename(operation.workDirectory);

/** apt goes on by itself when the agent dies: it runs in the host, not in the agent. */
function install(host: SimulatedHost, operation: Operation): void {
  const command = commandOf(operation);
  host.note('installed', command);
  host.installs.set(command, 'running');
  host.risk(hostFaults.atEffect, 15_000);
  const { bootId } = host;
  const { packages } = operation;
  const fails = loop.chance.happens(packageFaults.script)
    ? loop.chance.between(0, packages.length - 1)
    : null;
  let delayMs = 0;
  packages.forEach((one, index) => {
    delayMs += loop.chance.between(300, 8000);
    loop.after(
      delayMs,
      () => {
        if (host.bootId !== bootId || host.installs.get(command) !== 'running') return;
        if (index === fails) {
          host.installs.set(command, 'failed');
          return;
        }
        host.packages.set(one.name, one.version);
        if (index === 0) host.onChange(command);
        if (index < packages.length - 1) return;
        host.installs.set(command, 'done');
        host.note('in_place', command);
      },
      null,
    );
  });
}

async function waitFor(host: SimulatedHost, command: string): Promise<void> {
  while (host.installs.get(command) === 'running') await loop.sleep(500);
}

class SimulatedProvider implements PackageProvider {
  readonly name = 'apt' as const;

  refresh(): Promise<null> {
    return Promise.resolve(null);
  }

  listPending() {
    return Promise.resolve({ updates: [], fault: null });
  }

  checkReady(): Promise<PackageFault | null> {
    const isBusy = [...hostHere().installs.values()].includes('running');
    return Promise.resolve(isBusy ? { code: 'package_lock_busy', detail: 'apt is at work' } : null);
  }

  async download(operation: PackageOperation) {
    await loop.sleep(loop.chance.between(500, 20_000));
    const isLost = loop.chance.happens(packageFaults.network);
    const fault = isLost ? ({ code: 'network', detail: 'the repository does not answer' } as const) : null;
    return { fault, bytes: operation.packages.length * 1000 };
  }

  async install(operation: PackageOperation): Promise<InstallOutcome> {
    const host = hostHere();
    if (loop.chance.happens(packageFaults.busy))
      return { fault: { code: 'package_lock_busy', detail: 'somebody else is at work' }, changes: [] };
    install(host, operation);
    await waitFor(host, commandOf(operation));
    const changes = operation.packages
      .filter((one) => host.packages.get(one.name) === one.version)
      .map((one) => ({ name: one.name, from: one.fromVersion, to: one.version }));
    const isDone = host.installs.get(commandOf(operation)) === 'done';
    const fault = isDone ? null : ({ code: 'package_failed', detail: 'a script has failed' } as const);
    return { fault, changes };
  }

  installedVersions(packages: PackageOperation['packages']) {
    const { packages: there } = hostHere();
    return Promise.resolve(
      new Map(packages.map((one) => [`${one.name}:${one.arch}`, there.get(one.name) ?? ''])),
    );
  }

  async inspectInstall(operation: Operation): Promise<InstallState> {
    const host = hostHere();
    await waitFor(host, commandOf(operation));
    const state = host.installs.get(commandOf(operation));
    if (state === 'cut_short') return 'interrupted';
    const there = operation.packages.filter((one) => host.packages.get(one.name) === one.version).length;
    if (there === operation.packages.length) return 'all';
    return there === 0 ? 'none' : 'some';
  }
}

export function findProvider(): Promise<PackageProvider> {
  return Promise.resolve(new SimulatedProvider());
}
