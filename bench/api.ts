import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import pg from 'pg';
import type { HostSummary } from '#contract/fleet.ts';
import { createTestDatabase } from '../test/harness/database.ts';
import { NodeServices, ServerNode } from '../test/harness/server-node.ts';
import { brokenBudgets } from './budgets.ts';
import { treeCpuUs } from './cpu.ts';
import { driveOpen, percentile } from './drive.ts';
import { fillEstate, readScans, type EstateTenant } from './estate.ts';
import { loadNow, machineOf, round } from './scene.ts';
import { readPid } from './stage.ts';

/**
 * Scenario s08: people at work on a large estate. An open loop asks one real process of the server, as the web does, under
 * row-level security; each tenant has one person, with a token, a connection and an address of his own.
 */

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    tenants: { type: 'string', default: '100' },
    agents: { type: 'string', default: '1000' },
    commands: { type: 'string', default: '5000000' },
    rate: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '30' },
  },
});
const rate = Number(options.rate);
const seconds = Number(options.seconds);
/** Shares of the rate, each for five seconds: nobody begins with everything at once. */
const warmUp = [0.25, 0.5, 1];

function say(line: string): void {
  (options.json ? process.stderr : process.stdout).write(`${line}\n`);
}

interface Person {
  readonly tenantId: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly agent: Agent;
  /** Hosts that he has seen, with the versions that he saw. */
  readonly hosts: { readonly id: string; version: number }[];
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

interface Ask {
  readonly method?: string;
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

async function ask(node: ServerNode, person: Person, wanted: Ask): Promise<Answer> {
  const { method = 'GET', path, body, headers = {} } = wanted;
  const sent = request(`${node.url}/api/v1${path}`, {
    method,
    agent: person.agent,
    headers: {
      ...person.headers,
      ...headers,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
  });
  sent.end(body === undefined ? undefined : JSON.stringify(body));
  const [answer] = (await once(sent, 'response')) as [NodeJS.ReadableStream & { statusCode: number }];
  let text = '';
  for await (const chunk of answer) text += String(chunk);
  return { status: answer.statusCode, text };
}

/** What people look at, and how often among a hundred requests; `change` is what they write. */
const mix: readonly {
  readonly name: string;
  readonly share: number;
  readonly of: (person: Person, turn: number) => Ask;
}[] = [
  { name: 'hosts', share: 18, of: () => ({ path: '/hosts?limit=100' }) },
  { name: 'search', share: 8, of: (_, turn) => ({ path: `/hosts?q=srv-${turn % 900}` }) },
  { name: 'attention', share: 6, of: () => ({ path: '/hosts?status=security_pending&limit=50' }) },
  { name: 'host', share: 18, of: (person, turn) => ({ path: `/hosts/${hostOf(person, turn).id}` }) },
  {
    name: 'updates',
    share: 8,
    of: (person, turn) => ({ path: `/hosts/${hostOf(person, turn).id}/updates` }),
  },
  { name: 'summary', share: 10, of: () => ({ path: '/fleet-summary' }) },
  { name: 'agents', share: 5, of: () => ({ path: '/agents?limit=100' }) },
  { name: 'events', share: 8, of: () => ({ path: '/events?after=4900' }) },
  { name: 'windows', share: 4, of: () => ({ path: '/windows' }) },
  { name: 'calendar', share: 4, of: () => ({ path: `/calendar?${month}` }) },
  { name: 'runs', share: 4, of: () => ({ path: '/runs' }) },
  { name: 'log', share: 2, of: () => ({ path: '/audit/entries' }) },
  {
    name: 'change',
    share: 5,
    of: (person, turn) => {
      const { id, version } = hostOf(person, turn);
      return {
        ...{ method: 'PATCH', path: `/hosts/${id}`, headers: { 'if-match': `"${version}"` } },
        body: { tags: [`rack-${turn % 20}`, 'changed'] },
      };
    },
  },
];
const month = new URLSearchParams({
  from: new Date().toISOString(),
  to: new Date(Date.now() + 30 * 86_400_000).toISOString(),
}).toString();
/** A hundred turns in an order that is the same in each run and mixes all. */
const turns = mix
  .flatMap((one) => Array.from({ length: one.share }, (_, index) => ({ one, at: (index + 0.5) / one.share })))
  .sort((a, b) => a.at - b.at)
  .map(({ one }) => one);

function hostOf({ hosts }: Person, turn: number): { readonly id: string; version: number } {
  const host = hosts[turn % hosts.length];
  if (host === undefined) throw new Error('a person has seen no host');
  return host;
}

async function signIn(
  { services, node }: { readonly services: NodeServices; readonly node: ServerNode },
  { tenantId, username }: EstateTenant,
  index: number,
): Promise<Person> {
  const token = await services.issuer.token({ subject: username, acr: 2 });
  const person: Person = {
    tenantId,
    headers: { authorization: `Bearer ${token}` },
    // Each person has an address: the limits for one address hold as they do in the field.
    agent: new Agent({ keepAlive: true, localAddress: `127.0.1.${(index % 250) + 1}` }),
    hosts: [],
  };
  const page = await ask(node, person, { path: `/tenants/${tenantId}/hosts?limit=100` });
  if (page.status !== 200) throw new Error(`${username} sees no hosts: ${page.status} ${page.text}`);
  const { items } = JSON.parse(page.text) as { items: readonly HostSummary[] };
  person.hosts.push(...items.map(({ id, version }) => ({ id, version })));
  return person;
}

/** One request of the mix; throws when the answer is not what was asked for. */
async function oneTurn(node: ServerNode, people: readonly Person[], index: number): Promise<string> {
  const person = people[index % people.length];
  const kind = turns[index % turns.length];
  if (person === undefined || kind === undefined) throw new Error('nobody asks');
  const turn = Math.floor(index / people.length);
  const wanted = kind.of(person, turn);
  const answer = await ask(node, person, { ...wanted, path: `/tenants/${person.tenantId}${wanted.path}` });
  // Two changes of one host at once: the second one is told to read again, as it must be.
  if (answer.status === 200 && kind.name === 'change')
    hostOf(person, turn).version = (JSON.parse(answer.text) as HostSummary).version;
  else if (answer.status !== 200)
    throw new Error(`${kind.name}: ${answer.status} ${answer.text.slice(0, 200)}`);
  return kind.name;
}

async function measure(node: ServerNode, people: readonly Person[], client: pg.Client) {
  const byKind = new Map<string, number[]>();
  const one = async (index: number): Promise<void> => {
    const startedMs = performance.now();
    const name = await oneTurn(node, people, index);
    byKind.set(name, [...(byKind.get(name) ?? []), performance.now() - startedMs]);
  };
  const stalledMs = 30_000;
  const load = (share: number, lastS: number) => ({
    ...{ commands: Math.round(rate * share * lastS), durationMs: lastS * 1000, stalledMs },
  });
  for (const share of warmUp) await driveOpen(load(share, 5), one);
  byKind.clear();
  const postgresPid = await readPid(client);
  const readCpu = (): number[] => [treeCpuUs(node.pid), treeCpuUs(postgresPid)];
  const [scansBefore, cpuBefore] = [await readScans(client), readCpu()];
  const report = await driveOpen(load(1, seconds), one);
  const [server = 0, postgres = 0] = readCpu().map((us, index) =>
    Math.round((us - (cpuBefore[index] ?? 0)) / report.ended),
  );
  // The statistics of a session are told a moment after its last statement.
  await delay(2_000);
  const scans = [...(await readScans(client))]
    .map(([table, count]) => ({ table, scans: count - (scansBefore.get(table) ?? 0) }))
    .filter(({ scans: count }) => count > 0);
  const p95 = [...byKind].map(([name, took]) => {
    const sorted = Float64Array.from(took).sort();
    return [name, round(percentile(sorted, 0.95))] as const;
  });
  return {
    report,
    serverUsPerRequest: server,
    postgresUsPerRequest: postgres,
    scans,
    p95: Object.fromEntries(p95),
  };
}

async function run(): Promise<void> {
  const loadBefore = loadNow();
  const database = await createTestDatabase();
  const services = await NodeServices.start(database);
  const node = await ServerNode.create(services.shared);
  const client = new pg.Client({ connectionString: database.superuserUrl });
  await client.connect();
  let people: Person[] = [];
  try {
    const size = {
      tenants: Number(options.tenants),
      hostsEach: Number(options.agents),
      commands: Number(options.commands),
    };
    say(`filling: ${size.tenants} tenants of ${size.hostsEach} hosts, ${size.commands} commands`);
    const tenants = await fillEstate(await services.platformOf(node), database.superuserUrl, size);
    await node.start();
    people = await Promise.all(tenants.map((tenant, index) => signIn({ services, node }, tenant, index)));
    say(`${rate} requests a second for ${seconds} s`);
    const { report, ...rest } = await measure(node, people, client);
    const { p50, p95, p99, max } = report.latenciesMs;
    const figures = {
      failures: report.failures.length,
      largeTablesScanned: rest.scans.length,
    };
    const broken = brokenBudgets('s08', figures);
    say(
      `p50 ${p50} ms, p95 ${p95} ms, p99 ${p99} ms, longest ${max} ms; CPU a request: server ${rest.serverUsPerRequest} µs, PostgreSQL ${rest.postgresUsPerRequest} µs`,
    );
    for (const [name, took] of Object.entries(rest.p95)) say(`  ${name.padEnd(10)} p95 ${took} ms`);
    for (const { table, scans } of rest.scans) say(`read whole ${scans} times: ${table}`);
    for (const line of [...report.failures, ...broken.map((line) => `budget not kept: ${line}`)]) say(line);
    const answer = { scenario: 's08', ...size, rate, seconds, ...report, ...rest, ...figures, broken };
    if (options.json)
      process.stdout.write(`${JSON.stringify({ ...answer, machine: machineOf(loadBefore) })}\n`);
    if (broken.length > 0) process.exitCode = 1;
  } finally {
    for (const { agent } of people) agent.destroy();
    await client.end();
    await node.stop();
    await services.remove();
    await database.drop();
  }
}

await run();
