import { clocks } from './clock.faults.ts';
import { databases } from './database.faults.ts';
import { disks } from './disk.faults.ts';
import { elsewhere } from './elsewhere.faults.ts';
import type { AbsentFault, Fault } from './fault.ts';
import { kills } from './kills.faults.ts';
import { networks } from './network.faults.ts';
import { processes } from './process.faults.ts';
import { queues } from './queue.faults.ts';
import { together } from './together.faults.ts';

/** True for a fault that lives in an installation of its own, or leaves none behind. */
function standsAlone(fault: Fault): boolean {
  return fault.kind === 'proven' || fault.bend !== undefined || fault.spoils === true;
}

const all: readonly Fault[] = [
  ...kills,
  ...queues,
  ...processes,
  ...disks,
  ...networks,
  ...clocks,
  ...databases,
  ...together,
  ...elsewhere,
];

/** Every fault that is provoked; those that share an installation come first. */
export const catalogue: readonly Fault[] = [
  ...all.filter((fault) => !standsAlone(fault)),
  ...all.filter((fault) => standsAlone(fault)),
];

/** Faults that nobody provokes yet, and why. */
export const absent: readonly AbsentFault[] = [
  {
    id: 'F30',
    title: 'Reconnect storm of 2,000 agents',
    reason:
      'the benchmark connects hundreds of simulated agents; a storm of thousands has not been measured yet',
  },
  {
    id: 'F40',
    title: 'Upgrade of the appliance killed half-way',
    reason: 'there is no appliance image in this version',
  },
  {
    id: 'F44',
    title: 'PowerShell killed, a zombie, or asking questions',
    reason: 'there is no Windows provider in this version',
  },
];
