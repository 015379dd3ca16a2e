import { stripVTControlCharacters } from 'node:util';
import type { ProvenFault } from './fault.ts';

const simulator = 'test/simulation/simulate.main.ts';

interface Simulated {
  readonly seeds: number;
  readonly failed: readonly number[];
  readonly worldHours: number;
  readonly events: number;
}

/** Lives seeds of the simulation; the last line says how they went. */
function simulated(seeds: number): Pick<ProvenFault, 'command' | 'read'> {
  return {
    command: [simulator, '--seeds', String(seeds), '--json'],
    read: (said) => {
      const last = said.trim().split('\n').at(-1) ?? '';
      const { failed, worldHours, events } = JSON.parse(last) as Simulated;
      const seen = `simulated: ${seeds} seeds, ${worldHours} hours in the worlds, ${events} events`;
      return { broken: failed.map((seed) => `seed ${seed} broke a promise`), seen };
    },
  };
}

/** Runs tests of this tree by name. A name that fits no test is a failure: nothing would have been proved. */
function tested(project: string, file: string, name?: string): Pick<ProvenFault, 'command' | 'read'> {
  const only = name === undefined ? [] : ['--testNamePattern', name];
  return {
    command: [
      'node_modules/vitest/vitest.mjs',
      'run',
      `--project=${project}`,
      '--reporter=dot',
      file,
      ...only,
    ],
    read: (said) => {
      const passed = Number(/Tests\s+(\d+) passed/.exec(stripVTControlCharacters(said))?.[1] ?? 0);
      const broken = passed > 0 ? [] : ['no test of that name'];
      return { broken, seen: `${passed} tests of ${file}` };
    },
  };
}

/** Faults that another program of this tree provokes better than a running installation could. */
export const elsewhere: readonly ProvenFault[] = [
  {
    ids: ['F06', 'F29', 'F47'],
    kind: 'proven',
    title: 'Death between any two steps; messages doubled and delayed; loss of power',
    method:
      'deterministic simulation: server, agents and hosts die between any two disk accesses and statements; what was not flushed is lost; the network delays and repeats',
    invariant: 'I1–I3, I5, I8, I9, I11, I14',
    ...simulated(25),
  },
  {
    ids: ['F21', 'F22'],
    kind: 'proven',
    title: 'Journal cut at each byte of its last frame; 1,000 flipped bits',
    method: 'the product’s own reader over every cut and over seeded flips',
    invariant: 'a torn tail is dropped, a flip is detected, each time',
    ...tested('unit', 'agent/src/journal/journal.test.ts'),
  },
  {
    ids: ['F22'],
    kind: 'proven',
    title: 'Bits flipped in bundles, signatures and checkpoints',
    method: 'seeded flips in payload, target, leaf, proof, signature and checkpoint',
    invariant: 'every one refused',
    ...tested('unit', 'agent/src/verify/badEnvelopes.test.ts'),
  },
  {
    ids: ['F33'],
    kind: 'proven',
    title: 'Summer time, leap days, overseas zones',
    method: 'properties over twenty years of occurrences',
    invariant: 'I4: windows start and end on the wall clock of their zone',
    ...tested('unit', 'server/src/features/windows/occurrences.property.test.ts'),
  },
  {
    ids: ['F35'],
    kind: 'proven',
    title: 'Certificates: none, of another authority, never issued, expired, revoked, of a copied host',
    method: 'real mutual TLS listener, certificates made for the purpose',
    invariant: 'I7: refused before HTTP',
    ...tested(
      'integration',
      'test/integration/agentLink.test.ts',
      'the agents’ listener|two connections of one agent',
    ),
  },
  {
    ids: ['F36'],
    kind: 'proven',
    title: 'The word about the emergency stop is stale',
    method: 'the agent’s own checks over moments and locks',
    invariant: 'I7: a change is refused after five minutes without a word',
    ...tested('unit', 'agent/src/verify/moment.verify.test.ts'),
  },
  {
    ids: ['F38'],
    kind: 'proven',
    title: 'PostgreSQL fails over to a standby, the old primary returns',
    method:
      'two clusters with synchronous replication; SIGKILL to every process of the primary under a stream of commands, promotion, the former primary is started again, also alone',
    invariant: 'I1, I2, I5, I6: every acknowledged command is there once; the former primary gets no write',
    ...tested('integration', 'test/integration/standby.test.ts'),
  },
  {
    ids: ['F45'],
    kind: 'proven',
    title: 'The audit log cannot be written',
    method: 'the database refuses entries under a run on a real PostgreSQL',
    invariant: 'I5: nothing more is ordered, and the run goes on when the log is back',
    ...tested(
      'integration',
      'test/integration/run-control.test.ts',
      'log cannot be written|when the log is back',
    ),
  },
  {
    ids: ['F46'],
    kind: 'proven',
    title: 'The log is shown shorter, or forked, to a witness',
    method: 'a thief in the place of the server before a real agent',
    invariant: 'I6: the agent has seen a longer one and says so',
    ...tested('integration', 'test/integration/thief.test.ts', 'the log'),
  },
];
