import { createPublicKey, randomUUID, verify } from 'node:crypto';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { payloadTypes } from '#contract/dsse.ts';
import type { Envelope } from '#contract/dsse.ts';
import type { CommandResult } from '#contract/results.ts';
import { AgentsServer, readCommand } from '../harness/agents-server.ts';
import { consistencyProof, signCheckpoint } from '../harness/merkle-tree.ts';
import { commandFor, createWorld, jcs, releaseFor } from '../harness/release-world.ts';
import { readResults } from '../harness/signed-results.ts';
import { pae, signEnvelope } from '../harness/software-key.ts';

const agentMain = path.resolve(import.meta.dirname, '../../agent/src/main.ts');
let server: AgentsServer;
let state: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  server = await AgentsServer.start(createWorld());
});

afterAll(async () => {
  await server.stop();
});

beforeEach(async () => {
  state = await mkdtemp(path.join(tmpdir(), 'atlas-agent-'));
  server.forget();
});

afterEach(async () => {
  for (const child of children.splice(0)) await end(child);
  await rm(state, { recursive: true, force: true });
});

function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill(signal);
  });
}

async function call(...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(
    process.execPath,
    ['--no-warnings', agentMain, ...args, '--state', state, '--lang', 'fr'],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, output };
}

function startAgent(): ChildProcess {
  const child = spawn(process.execPath, ['--no-warnings', agentMain, 'run', '--state', state], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  children.push(child);
  return child;
}

function isSigned(envelope: Envelope): boolean {
  const key = createPublicKey({
    key: Buffer.from(server.resultPublicKey, 'base64url'),
    format: 'der',
    type: 'spki',
  });
  const signature = Buffer.from(envelope.signatures[0]?.signature ?? '', 'base64url');
  return verify(null, pae(envelope.payloadType, Buffer.from(envelope.payload, 'base64url')), key, signature);
}

async function resultOf(commandId: string): Promise<{ result: CommandResult; envelope: Envelope }> {
  const isIn = (envelope: Envelope): boolean =>
    readResults(envelope).some((result) => result.commandId === commandId);
  const frame = await server.waitFor('results', (one) => one.envelopes.some((envelope) => isIn(envelope)));
  const envelope = frame.envelopes.find(isIn)!;
  return { result: readResults(envelope).find((result) => result.commandId === commandId)!, envelope };
}

describe('enrolment', () => {
  it('makes the keys on the host, private to root, and stores a verified identity', async () => {
    const { code, output } = await call('enrol', server.token());
    expect(output).toContain('Hôte inscrit');
    expect(code).toBe(0);
    const directory = path.join(state, 'identity');
    for (const name of await readdir(directory))
      expect((await stat(path.join(directory, name))).mode & 0o777).toBe(0o600);
    expect(await readFile(path.join(directory, 'key.pem'), 'utf8')).toContain('PRIVATE');
    const status = JSON.parse((await call('status', '--json')).output) as Record<string, unknown>;
    expect(status).toMatchObject({
      enrolled: true,
      policyEpoch: 3,
      identity: { agentId: server.world.agentId, generation: 1 },
    });
  });

  it('refuses to enrol twice, unless told so', async () => {
    expect((await call('enrol', server.token())).code).toBe(0);
    const again = await call('enrol', server.token());
    expect(again).toMatchObject({ code: 1 });
    expect(again.output).toContain('already_enrolled');
    expect((await call('enrol', server.token(), '--again')).code).toBe(0);
  });

  it.each([
    ['wrong_server', { caSha256: 'a'.repeat(64) }],
    ['policy_wrong', { policySha256: 'a'.repeat(64) }],
    ['refused', { secret: 'AAAA' }],
    ['unreachable', { url: 'https://127.0.0.1:9/enrol' }],
    ['token_malformed', { url: 'http://127.0.0.1:9/enrol' }],
  ])('ends with %s and keeps nothing', async (error, bend) => {
    const { code, output } = await call('enrol', server.token(bend));
    expect(code).toBe(1);
    expect(output).toContain(error);
    expect(await readdir(state)).not.toContain('identity');
  });
});

describe('the link', () => {
  let enrolled: string;

  // RSA keys take their time: one enrolment serves all, each test works on a copy.
  beforeAll(async () => {
    enrolled = await mkdtemp(path.join(tmpdir(), 'atlas-agent-enrolled-'));
    state = enrolled;
    expect((await call('enrol', server.token())).code).toBe(0);
  });

  afterAll(async () => {
    await rm(enrolled, { recursive: true, force: true });
  });

  beforeEach(async () => {
    await cp(enrolled, state, { recursive: true });
  });

  it('runs a command once, signs its result, and repeats the result of a repeated command', async () => {
    startAgent();
    await server.waitFor('heartbeat');
    const command = readCommand();
    server.send({ type: 'commands', commands: [command] });
    const first = await resultOf(command.commandId);
    expect(first.result).toMatchObject({ outcome: 'succeeded', code: 'ok', seq: 1 });
    expect(isSigned(first.envelope)).toBe(true);
    server.frames.length = 0;
    server.send({ type: 'commands', commands: [command] });
    expect((await resultOf(command.commandId)).envelope).toEqual(first.envelope);
    server.send({ type: 'commands', commands: [{ ...command, verb: 'inventory.scan' }] });
    expect((await server.waitFor('alarm')).code).toBe('replayed');
  });

  it('keeps results while the server is away, over a kill of the agent, until the server holds them', async () => {
    server.isHoldingResults = false;
    const child = startAgent();
    await server.waitFor('heartbeat');
    const commands = Array.from({ length: 300 }, () => readCommand());
    server.send({ type: 'commands', commands });
    await resultOf(commands[299]!.commandId);
    await end(child);
    await server.closeLink();
    server.frames.length = 0;
    server.isHoldingResults = true;
    startAgent();
    await server.openLink();
    const hello = await server.waitFor('hello');
    expect(hello).toMatchObject({ lastResultSeq: 300, openCommands: [] });
    await expect.poll(() => server.resultsHeld).toBe(300);
    const seqs = server.frames.flatMap((frame) =>
      frame.type === 'results' ? frame.envelopes.flatMap(readResults).map(({ seq }) => seq) : [],
    );
    expect(new Set(seqs).size).toBe(300);
  });

  it('reconnects when the server comes back', async () => {
    startAgent();
    await server.waitFor('heartbeat');
    await server.closeLink();
    server.frames.length = 0;
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await server.openLink();
    await server.waitFor('hello');
  });

  it('refuses a released command that people did not sign, with the reason', async () => {
    startAgent();
    await server.waitFor('heartbeat');
    const released = releaseFor(server.world, { signers: [server.world.people[0]!.key] });
    const command = commandFor(released, 'preflight', randomUUID());
    server.send({ type: 'release', releaseId: released.release.id, bundle: released.bundle });
    server.send({ type: 'commands', commands: [command] });
    expect((await resultOf(command.commandId)).result).toMatchObject({
      outcome: 'refused',
      code: 'threshold_not_met',
    });
  });

  it('runs a released step, then stops at once when one person locks the tenant', async () => {
    startAgent();
    await server.waitFor('heartbeat');
    const released = releaseFor(server.world);
    const hostRunId = randomUUID();
    const first = commandFor(released, 'preflight', hostRunId);
    server.send({ type: 'release', releaseId: released.release.id, bundle: released.bundle });
    server.send({ type: 'commands', commands: [first] });
    expect((await resultOf(first.commandId)).result.outcome).toBe('succeeded');
    const { tenantId, people } = server.world;
    const lock = {
      v: 1,
      tenant: tenantId,
      serial: 1,
      state: 'locked',
      scope: { kind: 'tenant' },
      issuedAt: new Date().toISOString(),
      by: people[0]!.personId,
      reason: 'Stop',
    };
    const envelope = signEnvelope(payloadTypes.lock, jcs(lock), [people[0]!.key]);
    server.send({ type: 'lock', at: new Date().toISOString(), envelope });
    const second = commandFor(released, 'preflight', hostRunId);
    server.send({ type: 'commands', commands: [second] });
    expect((await resultOf(second.commandId)).result).toMatchObject({ outcome: 'refused', code: 'locked' });
  });

  it('cosigns checkpoints that continue the log and refuses a fork', async () => {
    startAgent();
    await server.waitFor('heartbeat');
    const { policy, log } = server.world;
    const leaves = Array.from({ length: 9 }, (_, n) => Buffer.from(`entry ${n}`));
    const signer = { origin: policy.auditLog.origin, privateKey: log.privateKey };
    const show = (size: number, from: number, all = leaves) =>
      server.send({
        type: 'checkpoint',
        checkpoint: signCheckpoint(all.slice(0, size), signer),
        proof: consistencyProof(all.slice(0, size), from),
      });
    show(4, 0);
    await server.waitFor('heartbeat', (frame) => frame.cosignature?.treeSize === 4);
    show(9, 4);
    await server.waitFor('heartbeat', (frame) => frame.cosignature?.treeSize === 9);
    const forked = [Buffer.from('other'), ...leaves.slice(1), Buffer.from('more')];
    show(10, 9, forked);
    expect((await server.waitFor('alarm')).code).toBe('log_refused');
  });

  it('takes the next policy epoch only when the current root keys signed it', async () => {
    startAgent();
    await server.waitFor('heartbeat');
    const { policy, root } = server.world;
    const next = { ...policy, epoch: policy.epoch + 1 };
    const forged = signEnvelope(payloadTypes.policy, jcs(next), [server.world.log]);
    server.send({ type: 'policy', envelopes: [forged] });
    expect((await server.waitFor('alarm')).code).toBe('policy_refused');
    server.send({ type: 'policy', envelopes: [signEnvelope(payloadTypes.policy, jcs(next), [root])] });
    await server.waitFor('heartbeat', ({ policyEpoch }) => policyEpoch === next.epoch);
    server.frames.length = 0;
    await server.closeLink();
    await server.openLink();
    expect((await server.waitFor('hello')).policyEpoch).toBe(next.epoch);
  });
});

describe('certificate renewal', () => {
  it('asks at two thirds of the life and goes on with the next generation', async () => {
    server.certificateFromMs = -90_000;
    server.certificateForMs = 40_000;
    expect((await call('enrol', server.token())).code).toBe(0);
    server.certificateFromMs = -1000;
    server.certificateForMs = 86_400_000;
    startAgent();
    const renew = await server.waitFor('renew');
    expect(renew.generation).toBe(2);
    server.send({ type: 'certificate', chainPem: await server.certify(renew.csrPem) });
    await server.waitFor('hello', (frame) => frame.generation === 2);
  });
});
