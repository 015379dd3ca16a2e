import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { brokenBudgets } from './budgets.ts';
import { treeCpuUs } from './cpu.ts';
import { fillHistory, countHistory } from './history.ts';
import { ask, measure } from './measure.ts';
import { residentBytes } from './memory.ts';
import { inStateDir, loadNow, machineOf, round } from './scene.ts';
import type { RunRequest } from './server.process.ts';
import { openStage, type Stage } from './stage.ts';

/**
 * What does not change from one day to the next: what a command costs when much has happened before it (s14), memory for
 * each connection (s04) and the way back of a whole fleet, computed from the cost of a handshake (s05). One line of JSON each.
 */

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    commands: { type: 'string', default: '5000' },
    agents: { type: 'string', default: '1700' },
  },
});

const repetitions = 3;
const historyFactor = 10;
const firstAgents = 200;
const wholeFleet = 100_000;
const cores = 2;
const settleMs = 4_000;

const broken: string[] = [];

function say(line: string): void {
  (values.json ? process.stderr : process.stdout).write(`${line}\n`);
}

function tell(scenario: string, figures: Record<string, number>, loadBefore: readonly number[]): void {
  const missed = brokenBudgets(scenario, figures);
  broken.push(...missed);
  say(`${scenario}: ${JSON.stringify(figures)}`);
  for (const line of missed) say(`budget not kept: ${scenario} ${line}`);
  const answer = {
    scenario,
    ...figures,
    agents: 'simulated',
    broken: missed,
    machine: machineOf(loadBefore),
  };
  if (values.json) process.stdout.write(`${JSON.stringify(answer)}\n`);
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

/** Median processor time of a command, all of them at once, microseconds. */
async function costNow({ watched, system }: Stage): Promise<number> {
  const commands = Number(values.commands);
  const request: RunRequest = { design: 'atlas', commands, inFlight: commands };
  const costs: number[] = [];
  for (let turn = 0; turn < repetitions; turn += 1) {
    costs.push((await measure(watched, system, request)).cpuUsPerCommand.all);
  }
  return median(costs);
}

async function compareHistories(stage: Stage): Promise<void> {
  const loadBefore = loadNow();
  const warm: RunRequest = { design: 'atlas', commands: 10_000, inFlight: 2_000 };
  await ask(stage.watched.server, { run: warm });
  const little = await costNow(stage);
  const before = await countHistory(stage.watched.client);
  await fillHistory(stage.watched.client, historyFactor);
  const much = await costNow(stage);
  const after = await countHistory(stage.watched.client);
  const figures = {
    cpuUsPerCommandBefore: little,
    cpuUsPerCommandAfter: much,
    ratioHistory: Math.round((much / little) * 100) / 100,
    commandsBefore: before,
    commandsAfter: after,
  };
  tell('s14', figures, loadBefore);
}

/** What `work` costs server and PostgreSQL for each connection, microseconds of processor time. */
async function costOf(watched: Stage['watched'], connections: number, work: () => Promise<void>) {
  const pids = [watched.server.pid ?? 0, watched.postgresPid];
  const before = pids.map((pid) => treeCpuUs(pid));
  await work();
  const [serverUs = 0, postgresUs = 0] = pids.map(
    (pid, index) => (treeCpuUs(pid) - (before[index] ?? 0)) / connections,
  );
  return { serverUs: Math.round(serverUs), postgresUs: Math.round(postgresUs) };
}

/** Seconds for a whole fleet, both cores at work on nothing else. */
function wholeFleetS({ serverUs, postgresUs }: { serverUs: number; postgresUs: number }): number {
  return Math.round(((serverUs + postgresUs) * wholeFleet) / cores / 1_000_000);
}

/**
 * Connects the rest of the agents and says what each has added to the server's memory and processor time; then all leave
 * and come back with their TLS sessions, as after a restart of the server.
 */
async function measureConnections({ watched, connectMore, leave, comeBack }: Stage): Promise<void> {
  const loadBefore = loadNow();
  const pid = watched.server.pid ?? 0;
  const all = Number(values.agents);
  const more = all - firstAgents;
  await delay(settleMs);
  const bytesBefore = residentBytes(pid);
  const first = await costOf(watched, more, () => connectMore(more));
  await delay(settleMs);
  const connectionKb = round((residentBytes(pid) - bytesBefore) / more / 1_000);
  tell('s04', { connectionKb, connectionsBefore: firstAgents, connectionsAfter: all }, loadBefore);
  const gone = await costOf(watched, all, async () => {
    await leave();
    await delay(settleMs);
  });
  const back = await costOf(watched, all, comeBack);
  const figures = {
    serverUsPerConnection: first.serverUs,
    postgresUsPerConnection: first.postgresUs,
    serverUsPerReturn: back.serverUs,
    postgresUsPerReturn: back.postgresUs,
    serverUsPerLeave: gone.serverUs,
    postgresUsPerLeave: gone.postgresUs,
    wholeFleetNewS: wholeFleetS(first),
    wholeFleetBackS: wholeFleetS(back),
    wholeFleet,
  };
  tell('s05', figures, loadBefore);
}

await inStateDir(async (stateDir) => {
  const agents = Number(values.agents);
  if (agents <= firstAgents) throw new Error(`more than ${firstAgents} agents are needed`);
  // Two servers: memory is that of connections only where no command has passed.
  for (const scenario of [measureConnections, compareHistories]) {
    const isHistory = scenario === compareHistories;
    const own = `${stateDir}/${isHistory ? 'history' : 'connections'}`;
    const stage = await openStage({
      stateDir: own,
      agents: isHistory ? firstAgents : agents,
      connect: firstAgents,
      tenants: 4,
      peers: false,
      say,
    });
    try {
      await scenario(stage);
    } finally {
      await stage.stop();
    }
  }
  if (broken.length > 0) process.exitCode = 1;
});
