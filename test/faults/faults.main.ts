import { parseArgs } from 'node:util';
import { absent, catalogue } from './catalogue.ts';
import type { Fault, Outcome } from './fault.ts';
import { writeDocument } from './document.ts';
import { keepResult } from './results.ts';
import { FaultRun } from './run.ts';

/*
 * faults [--only F08,F09] [--smoke] [--seed N] [--json] [--write-docs]
 * Progress goes to standard error, the table to standard output; with --json the one line of the answer instead.
 */
const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    seed: { type: 'string', default: '1' },
    smoke: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    'write-docs': { type: 'boolean', default: false },
  },
});

const wanted = values.only?.split(',').map((id) => id.trim().toUpperCase());

function choose(): readonly Fault[] {
  if (wanted !== undefined) return catalogue.filter(({ ids }) => ids.some((id) => wanted.includes(id)));
  return values.smoke ? catalogue.filter(({ isSmoke }) => isSmoke === true) : catalogue;
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function line({ ids, verdict, title, recoveredS, broken }: Outcome): string {
  const mark = { held: '✓', broken: '✗', not_run: '·' }[verdict];
  const recovered = recoveredS === null ? '' : ` — ${recoveredS} s`;
  return [`${mark} ${ids.join(' ')} ${title}${recovered}`, ...broken.map((one) => `    ${one}`)].join('\n');
}

async function main(): Promise<number> {
  const chosen = choose();
  const known = [...catalogue.flatMap(({ ids }) => ids), ...absent.map(({ id }) => id)];
  const unknown = (wanted ?? []).filter((id) => !known.includes(id));
  if (unknown.length > 0) {
    say(`no such fault: ${unknown.join(', ')}`);
    return 2;
  }
  const seed = Number(values.seed);
  const run = new FaultRun({ seed, isSmoke: values.smoke, say: (text) => say(`  ${text}`) });
  const outcomes: Outcome[] = [];
  let isAsked = false;
  // Whoever interrupts the run must not find its services still there.
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      isAsked = true;
      void run.close().finally(() => process.exit(1));
    });
  try {
    for (const fault of chosen) {
      if (isAsked) break;
      const outcome = await run.live(fault);
      outcomes.push(outcome);
      keepResult(outcome, { seed, isSmoke: values.smoke });
      say(line(outcome));
    }
  } finally {
    await run.close();
  }
  if (values['write-docs']) writeDocument();
  const ran = outcomes.filter(({ verdict }) => verdict !== 'not_run');
  const failed = ran.filter(({ verdict }) => verdict === 'broken').flatMap(({ ids }) => ids);
  const notHere = outcomes.filter(({ verdict }) => verdict === 'not_run');
  const notRun = [
    ...notHere.flatMap(({ ids, broken }) => ids.map((id) => ({ id, reason: broken.join('; ') }))),
    ...absent.filter(({ id }) => wanted?.includes(id) ?? true).map(({ id, reason }) => ({ id, reason })),
  ];
  const faults = ran.flatMap(({ ids }) => ids).length;
  const answer = {
    faults,
    passed: faults - failed.length,
    failed: failed.length,
    broken: failed,
    notRun,
    seed,
    outcomes,
  };
  process.stdout.write(values.json ? `${JSON.stringify(answer)}\n` : `${outcomes.map(line).join('\n')}\n`);
  return failed.length > 0 ? 1 : 0;
}

process.exitCode = await main();
