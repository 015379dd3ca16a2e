import { parseArgs } from 'node:util';
import { brokenBudgets } from './budgets.ts';
import { measure, ask, type Measured } from './measure.ts';
import { inStateDir, loadNow, machineOf, round } from './scene.ts';
import type { RunRequest } from './server.process.ts';
import { openStage, type Stage } from './stage.ts';

/** Scenario s01: no-op commands to connected simulated agents, the product and its peers in the same session. */

const options = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    commands: { type: 'string', default: '10000' },
    naive: { type: 'string', default: '1500' },
    agents: { type: 'string', default: '200' },
    tenants: { type: 'string', default: '4' },
  },
}).values;

function say(line: string): void {
  (options.json ? process.stderr : process.stdout).write(`${line}\n`);
}

async function measureOne({ watched, system }: Stage, request: RunRequest): Promise<Measured> {
  const measured = await measure(watched, system, request);
  const { design, commands, inFlight, latenciesMs, cpuUsPerCommand } = measured;
  say(
    `${design.padEnd(6)} ${String(commands).padStart(6)} commands, ${String(inFlight).padStart(5)} in flight: ` +
      `${measured.perSecond}/s, p50 ${latenciesMs.p50} ms, p99 ${latenciesMs.p99} ms, ` +
      `${cpuUsPerCommand.all} µs CPU a command, ${measured.txPerCommand} tx, ${measured.walBytesPerCommand} B WAL`,
  );
  return measured;
}

/** Warm all: the first plans of an empty table and a cold JIT measure nothing of interest. */
async function warm({ watched: { server } }: Stage): Promise<void> {
  const runs: RunRequest[] = [
    { design: 'atlas', commands: 6000, inFlight: 64 },
    { design: 'naive', commands: 400, inFlight: 64 },
    { design: 'bullmq', commands: 1000, inFlight: 1000 },
  ];
  for (const run of runs) await ask(server, { run });
}

async function compare(stage: Stage) {
  const [commands, naiveCommands] = [Number(options.commands), Number(options.naive)];
  await warm(stage);
  const equal = await measureOne(stage, {
    design: 'atlas',
    commands: Math.min(commands, 5000),
    inFlight: 64,
  });
  const naive = await measureOne(stage, { design: 'naive', commands: naiveCommands, inFlight: 64 });
  const full = await measureOne(stage, { design: 'atlas', commands, inFlight: commands });
  const bullmq = await measureOne(stage, { design: 'bullmq', commands, inFlight: commands });
  const figures = {
    ratioNaive: round(equal.perSecond / naive.perSecond),
    cpuRatioNaive: round(naive.cpuUsPerCommand.all / equal.cpuUsPerCommand.all),
    ratioBullmq: round(full.perSecond / bullmq.perSecond),
    cpuRatioBullmq: round(bullmq.cpuUsPerCommand.all / full.cpuUsPerCommand.all),
    cpuUsPerCommand: full.cpuUsPerCommand.all,
    commandsPerSecond: full.perSecond,
    walBytesPerCommand: full.walBytesPerCommand,
    diskBytesPerCommand: full.diskBytesPerCommand,
    transactionsPerCommand: equal.txPerCommand,
  };
  return { figures, runs: [equal, naive, full, bullmq] };
}

async function run(stateDir: string): Promise<void> {
  const loadBefore = loadNow();
  const stage = await openStage({
    stateDir,
    agents: Number(options.agents),
    tenants: Number(options.tenants),
    peers: true,
    say,
  });
  try {
    const { figures, runs } = await compare(stage);
    const broken = brokenBudgets('s01', figures);
    for (const line of broken) say(`budget not kept: ${line}`);
    say(
      `ratio to the naive design at 64 in flight: ${figures.ratioNaive} in rate, ${figures.cpuRatioNaive} in CPU; ` +
        `to raw BullMQ: ${figures.ratioBullmq} in rate, ${figures.cpuRatioBullmq} in CPU`,
    );
    const answer = {
      scenario: 's01',
      ...figures,
      agents: 'simulated',
      broken,
      machine: machineOf(loadBefore),
      runs,
    };
    if (options.json) process.stdout.write(`${JSON.stringify(answer)}\n`);
    if (broken.length > 0) process.exitCode = 1;
  } finally {
    await stage.stop();
  }
}

await inStateDir(run);
