import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import path from 'node:path';
import { absent, catalogue } from './catalogue.ts';
import type { Fault } from './fault.ts';
import { readResults, type Kept } from './results.ts';

const file = path.resolve(import.meta.dirname, '../../docs/faults.md');

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const row = (...cells: string[]): string => `| ${cells.map(cell).join(' | ')} |`;
const words = { held: 'held', broken: '**broken**', not_run: 'not run' };

function rowOf({ ids, title, method, invariant }: Fault, kept: Kept | undefined): string {
  const named = [ids.join(', '), title, method, invariant];
  if (kept === undefined) return row(...named, '—', 'not run', 'not run on this machine yet');
  const { recoveredS, verdict, seen, broken, seed, isSmoke, at } = kept;
  const conditions = [seen, ...broken, `seed ${seed}${isSmoke ? ', short' : ''}, ${at.slice(0, 10)}`];
  return row(
    ...named,
    recoveredS === null ? '—' : recoveredS.toFixed(1),
    words[verdict],
    conditions.filter(Boolean).join('; '),
  );
}

/** Writes the newest outcome of every fault on this machine into the documentation. */
export function writeDocument(): void {
  const results = readResults();
  const sorted = [...catalogue].sort((a, b) => (a.ids[0] ?? '').localeCompare(b.ids[0] ?? ''));
  const lines = [
    '# Faults provoked on the real services',
    '',
    'Written by `./atlas faults --write-docs`; do not edit by hand. Each fault is provoked while three agents answer readings and carry out a release that two people signed, on a real PostgreSQL (flushed to the disk), a real Redis, the server’s whole program behind its mutual TLS listener, and agents that are processes of their own with a journal on the disk. Sign-in tokens come from an issuer of the tests in place of Keycloak, and under the agents a package manager writes lines into a file in place of changing the machine: that file is how effects are counted.',
    '',
    'After each fault one judge compares four sources that do not know each other: what clients were told, what the hosts wrote down, what the database says, what the audit log says. It also runs the product’s own verifier over the log. *Recovered* is the time from the end of the fault until every host had answered a new command; it is a figure of one machine that had other work, reported and not judged. Where a row names a program or a file of tests, that program was run and its verdict taken.',
    '',
    `Newest outcome of each fault on a machine with ${cpus().length} processor cores, everything on it, Node ${process.version}. Counts are of the whole history of an installation, which several faults share.`,
    '',
    row('id', 'fault', 'method', 'invariant', 'recovered (s)', 'result', 'conditions'),
    row('---', '---', '---', '---', '---', '---', '---'),
    ...sorted.map((fault) => rowOf(fault, results[fault.title])),
    '',
    '## Not provoked',
    '',
    row('id', 'fault', 'why not'),
    row('---', '---', '---'),
    ...absent.map(({ id, title, reason }) => row(id, title, reason)),
    '',
  ];
  writeFileSync(file, lines.join('\n'));
}
