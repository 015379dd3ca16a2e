import { parseArgs } from 'node:util';
import { ask } from './measure.ts';
import { inStateDir, loadNow, machineOf } from './scene.ts';
import type { PairReport, PairRequest } from './server.process.ts';
import { openStage, type Stage } from './stage.ts';

/** What a quiet tenant waits for its results, alone and beside a tenant that asks twenty times as much. */

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    /** Commands of the quiet tenant in each turn. */
    commands: { type: 'string', default: '150' },
    agents: { type: 'string', default: '200' },
    /** Of the quiet tenant. With the loud one, ten make about 10,000 commands a minute. */
    'per-second': { type: 'string', default: '10' },
  },
});

const loudness = 20;
const rounds = 3;
const stalledMs = 30_000;
const perSecond = Number(values['per-second']);

function say(line: string): void {
  (values.json ? process.stderr : process.stdout).write(`${line}\n`);
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

/** One turn. Throws when a command got no result: such a turn has measured nothing. */
async function turn({ watched: { server } }: Stage, isBeside: boolean): Promise<PairReport> {
  const commands = Number(values.commands);
  const durationMs = (commands / perSecond) * 1_000;
  const quiet = { commands, durationMs, stalledMs };
  const pair: PairRequest = { quiet, loud: isBeside ? { ...quiet, commands: commands * loudness } : null };
  const report = await ask<PairReport>(server, { pair });
  const missing = commands - report.quiet.ended + (pair.loud?.commands ?? 0) - (report.loud?.ended ?? 0);
  if (missing > 0) throw new Error(`${missing} commands got no result: ${report.quiet.failures.join('; ')}`);
  const { p50, p99 } = report.quiet.latenciesMs;
  say(`${isBeside ? 'beside' : 'alone '}: p50 ${p50} ms, p99 ${p99} ms`);
  return report;
}

async function run(stateDir: string): Promise<void> {
  const loadBefore = loadNow();
  const stage = await openStage({
    ...{ stateDir, agents: Number(values.agents), tenants: 2, peers: false, say },
  });
  try {
    await turn(stage, true);
    const alone: PairReport[] = [];
    const beside: PairReport[] = [];
    for (let round = 0; round < rounds; round += 1) {
      alone.push(await turn(stage, false));
      beside.push(await turn(stage, true));
    }
    const p99 = (reports: readonly PairReport[]) => median(reports.map(({ quiet }) => quiet.latenciesMs.p99));
    const p50 = (reports: readonly PairReport[]) => median(reports.map(({ quiet }) => quiet.latenciesMs.p50));
    const answer = {
      scenario: 'noisy',
      ratioNoisy: Math.round((p99(beside) / p99(alone)) * 100) / 100,
      ...{ p99AloneMs: p99(alone), p99BesideMs: p99(beside) },
      ...{ p50AloneMs: p50(alone), p50BesideMs: p50(beside) },
      ...{ quietPerSecond: perSecond, loudPerSecond: perSecond * loudness, rounds },
      agents: 'simulated',
      machine: machineOf(loadBefore),
    };
    say(`p99 of the quiet tenant beside the loud one: ${answer.ratioNoisy} times that of it alone`);
    if (values.json) process.stdout.write(`${JSON.stringify(answer)}\n`);
  } finally {
    await stage.stop();
  }
}

await inStateDir(run);
