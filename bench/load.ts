import { statSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { awaitSealed, readDatabaseBooks } from './books.ts';
import { readLedger } from './ledger.ts';
import { ask, readCounters } from './measure.ts';
import { MemorySampler } from './memory.ts';
import type { LogVerdict } from './product.ts';
import { reckon, type Reckoning } from './reckoning.ts';
import { inStateDir, loadNow, machineOf } from './scene.ts';
import type { LoadReport, LoadRequest } from './server.process.ts';
import { openStage, type Stage } from './stage.ts';

/**
 * Open-loop load: commands at their times, whatever becomes of those before, and at the end an exact reckoning between
 * what was accepted, what the agents did, what the database holds and what the audit log says. Status 1 when it does not add up.
 */

const sabotages = ['swallow', 'repeat', 'forget'] as const;
type Sabotage = (typeof sabotages)[number];

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    commands: { type: 'string', default: '300000' },
    minutes: { type: 'string', default: '30' },
    agents: { type: 'string', default: '200' },
    tenants: { type: 'string', default: '4' },
    /** Does wrong on purpose, to see that the reckoning finds it. */
    sabotage: { type: 'string' },
  },
});

const warmUp = { commands: 2_000, durationMs: 10_000 };
const stalledMs = 30_000;
const sampleEveryMs = 5_000;
const progressEveryMs = 60_000;

function say(line: string): void {
  (values.json ? process.stderr : process.stdout).write(`${line}\n`);
}

function sabotageOf(word: string | undefined): Sabotage | undefined {
  const found = sabotages.find((one) => one === word);
  if (word !== undefined && found === undefined) throw new Error(`no such sabotage: ${word}`);
  return found;
}

/** Removes one stored frame, which nobody but the owner of the tables can do. */
async function forgetOneFrame({ watched: { client } }: Stage): Promise<void> {
  await client.query(`
    alter table result_frames no force row level security;
    delete from result_frames where (agent_id, last_seq) in (select agent_id, last_seq from result_frames limit 1);
    alter table result_frames force row level security;
  `);
}

async function offer(stage: Stage, request: LoadRequest) {
  const { watched } = stage;
  const sampler = new MemorySampler(watched.server.pid ?? 0, sampleEveryMs);
  const progress = setInterval(
    () => say(`${Math.floor(statSync(request.ledgerFile).size / 16)} commands accepted so far`),
    progressEveryMs,
  );
  const before = await readCounters(watched);
  try {
    const report = await ask<LoadReport>(watched.server, { load: request });
    await awaitSealed(stage.system);
    const after = await readCounters(watched);
    const all = request.commands + request.warmUp.commands;
    const cpuUs = (['server', 'postgres', 'redis'] as const).map((who) => (after[who] - before[who]) / all);
    return { report, cpuUs, memory: sampler.stop() };
  } finally {
    clearInterval(progress);
    sampler.stop();
  }
}

async function takeStock(stage: Stage, files: { accepted: string; effects: string }) {
  await ask(stage.agents, { close: true });
  const books = {
    accepted: readLedger(files.accepted),
    effects: readLedger(files.effects),
    ...(await readDatabaseBooks(stage.system)),
  };
  const found: Reckoning = reckon(books);
  const { logs } = await ask<{ logs: LogVerdict[] }>(stage.watched.server, { verify: true });
  const logFaults = logs.flatMap(({ tenantId, faults }) =>
    faults.map((fault) => `log of ${tenantId}: ${fault}`),
  );
  return { ...found, auditEntries: logs.reduce((sum, { entries }) => sum + entries, 0), logFaults };
}

async function run(stateDir: string): Promise<void> {
  const [commands, minutes] = [Number(values.commands), Number(values.minutes)];
  const sabotage = sabotageOf(values.sabotage);
  const loadBefore = loadNow();
  const files = { accepted: path.join(stateDir, 'accepted'), effects: path.join(stateDir, 'effects') };
  const stage = await openStage({
    stateDir,
    agents: Number(values.agents),
    tenants: Number(values.tenants),
    peers: false,
    effectsFile: files.effects,
    ...(sabotage === 'swallow' || sabotage === 'repeat' ? { fault: sabotage } : {}),
    say,
  });
  try {
    const durationMs = minutes * 60_000;
    const request = { commands, durationMs, stalledMs, warmUp, ledgerFile: files.accepted };
    const { report, cpuUs, memory } = await offer(stage, request);
    if (sabotage === 'forget') await forgetOneFrame(stage);
    const stock = await takeStock(stage, files);
    const faults = [
      ...stock.faults,
      ...stock.logFaults,
      ...report.failures.map((why) => `not accepted: ${why}`),
    ];
    const offered = commands + warmUp.commands;
    if (stock.accepted !== offered)
      faults.push(`${stock.accepted} commands were accepted, ${offered} were offered`);
    tell(report, stock, faults);
    const answer = {
      scenario: 'load',
      commands,
      minutes,
      perMinute: Math.round(commands / minutes),
      accepted: stock.accepted,
      lost: stock.lost,
      doubled: stock.doubled,
      faults,
      refused: report.refused,
      latenciesMs: report.latenciesMs,
      offeredLateMs: report.offeredLateMs,
      wallMs: report.wallMs,
      memory,
      cpuUsPerCommand: Math.round(cpuUs.reduce((sum, us) => sum + us, 0)),
      auditEntries: stock.auditEntries,
      agents: 'simulated',
      machine: machineOf(loadBefore),
    };
    if (values.json) process.stdout.write(`${JSON.stringify(answer)}\n`);
    if (faults.length > 0) process.exitCode = 1;
  } finally {
    await stage.stop();
  }
}

function tell(report: LoadReport, stock: Reckoning, faults: readonly string[]): void {
  const { p50, p95, p99, p999, max } = report.latenciesMs;
  say(
    `${stock.accepted} commands accepted: ${stock.lost} lost, ${stock.doubled} doubled; due → durable result: ` +
      `p50 ${p50} ms, p95 ${p95} ms, p99 ${p99} ms, p99.9 ${p999} ms, at most ${max} ms`,
  );
  for (const fault of faults) say(`does not add up: ${fault}`);
}

await inStateDir(run);
