import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { hostname } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Value } from 'typebox/value';
import { VisitReply, VisitRequest } from '#contract/visit.ts';
import { machineDigest } from '../enrol/enrol.ts';
import { loadIdentity, storeIdentity } from '../enrol/identity.ts';
import { runCommand, tailOf } from '../host/command.ts';
import { isServed, readToEnd } from '../link/visitLink.ts';
import { locateState, prepareState } from '../state/stateDirectory.ts';
import type { StateDirectory } from '../state/stateDirectory.ts';
import { putJournalAside } from '../state/putJournalAside.ts';
import { writeDurably } from '../state/durableFile.ts';
import { acceptPolicyChain } from '../verify/policyChain.check.ts';
import { agentVersion } from '../version.ts';
import { visitSocket } from './serve.ts';
import { isVisitedOnly, markVisited, unmarkVisited } from './visitedMark.ts';

const serviceName = 'atlas-agent.service';
const engineStartMs = 20_000;

type Refused = Extract<VisitReply, { kind: 'refused' }>;
const refused = (code: Refused['code'], detail: string): VisitReply => ({
  kind: 'refused',
  code,
  detail: detail.replace(/\s+/g, ' ').slice(0, 500) || code,
});

async function readService(): Promise<'absent' | 'stopped' | 'running'> {
  const shown = await runCommand('systemctl', ['show', '--property=LoadState,ActiveState', serviceName]);
  if (!shown.stdout.includes('LoadState=loaded')) return 'absent';
  return /^ActiveState=(active|activating|reloading)$/m.test(shown.stdout) ? 'running' : 'stopped';
}

/** The key for results: the identity's, or one kept for the identity to come. */
async function readResultKey(state: StateDirectory): Promise<string> {
  const identity = await loadIdentity(state.identity);
  if (identity !== null) return identity.resultKeyPem;
  const file = path.join(state.root, 'result-key.draft.pem');
  const kept = await readFile(file, 'utf8').catch(() => null);
  if (kept !== null) return kept;
  const { privateKey } = generateKeyPairSync('ed25519');
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' });
  await writeDurably(file, pem);
  return pem;
}

async function describe(state: StateDirectory): Promise<VisitReply> {
  const identity = await loadIdentity(state.identity);
  const key = createPublicKey(createPrivateKey(await readResultKey(state)));
  return {
    kind: 'described',
    hostname: hostname().toLowerCase(),
    machineId: await machineDigest(),
    agentVersion,
    resultPublicKey: key.export({ format: 'der', type: 'spki' }).toString('base64url'),
    agentId: identity?.record.agentId ?? null,
    tenantId: identity?.record.tenantId ?? null,
    agentService: await readService(),
  };
}

async function adopt(
  state: StateDirectory,
  request: Extract<VisitRequest, { kind: 'adopt' }>,
): Promise<VisitReply> {
  const { tenantId, hostId, agentId, policySha256, policies } = request;
  const present = await loadIdentity(state.identity);
  if (present?.record.agentId === agentId) return { kind: 'done' };
  if ((present?.record.agentId ?? null) !== request.replaces)
    return refused('wrong_identity', `the host is agent ${present?.record.agentId ?? 'nobody'}`);
  const policy = acceptPolicyChain(policies, { tenantId, policySha256 });
  if ('code' in policy) return refused('policy_wrong', policy.detail);
  const resultKeyPem = await readResultKey(state);
  if (present !== null) await putJournalAside(state);
  const enrolledAt = new Date().toISOString();
  await storeIdentity(state.identity, {
    record: {
      ...{ v: 1, tenantId, hostId, agentId, agentsUrl: 'wss://visited.invalid/link', policySha256 },
      ...{ generation: 1, enrolledAt },
    },
    ...{ keyPem: '', resultKeyPem, chainPem: '', caPem: '', policies },
  });
  await rm(path.join(state.root, 'result-key.draft.pem'), { force: true });
  return { kind: 'done' };
}

/** From now on SSH drives the engine: the host's own agent must not come back, also not after a restart. */
async function take(state: StateDirectory): Promise<VisitReply> {
  await markVisited(state.root);
  if ((await readService()) === 'absent') return { kind: 'done' };
  const done = await runCommand('systemctl', ['disable', '--now', serviceName], { timeoutMs: 60_000 });
  return done.exitCode === 0 ? { kind: 'done' } : refused('agent_in_charge', tailOf(done.stderr, 300));
}

async function giveBack(state: StateDirectory): Promise<VisitReply> {
  await runCommand('systemctl', ['stop', engineUnit], { timeoutMs: 60_000 });
  await unmarkVisited(state.root);
  if ((await readService()) === 'absent') return { kind: 'done' };
  const done = await runCommand('systemctl', ['enable', '--now', serviceName], { timeoutMs: 60_000 });
  return done.exitCode === 0 ? { kind: 'done' } : refused('engine_failed', tailOf(done.stderr, 300));
}

const engineUnit = 'atlas-engine.service';

/** Starts the engine as a unit of its own: it must outlive the SSH session that started it. */
async function startEngine(state: StateDirectory): Promise<string | null> {
  // The launcher beside this program knows what its runtime needs.
  const launcher = path.join(path.dirname(process.argv[1] ?? ''), 'atlas-engine');
  const program = [launcher, 'serve', '--state', state.root];
  const started = await runCommand(
    'systemd-run',
    [
      ...[`--unit=${engineUnit}`, '--collect', '--quiet', '--service-type=exec'],
      // As for the agent's own service: an installation under way is never cut short.
      ...['-p', 'KillMode=process', '-p', 'OOMScoreAdjust=-500', '-p', 'LimitCORE=0'],
      ...program,
    ],
    { timeoutMs: 30_000 },
  );
  const untilMs = Date.now() + engineStartMs;
  while (Date.now() < untilMs) {
    if (await isServed(visitSocket(state.root))) return null;
    await delay(100);
  }
  return tailOf(`the engine does not answer; ${started.stdout}${started.stderr}`, 300);
}

function converse(socketPath: string, request: VisitRequest): Promise<string> {
  const socket = createConnection(socketPath);
  const said = readToEnd(socket);
  socket.end(JSON.stringify(request));
  return said;
}

async function talk(state: StateDirectory, request: VisitRequest): Promise<VisitReply> {
  if ((await loadIdentity(state.identity)) === null)
    return refused('not_adopted', 'this host belongs to nobody yet');
  if (!(await isVisitedOnly(state.root)))
    return refused('agent_in_charge', 'the host’s own agent drives the engine');
  const socketPath = visitSocket(state.root);
  const fault = (await isServed(socketPath)) ? null : await startEngine(state);
  if (fault !== null) return refused('engine_failed', fault);
  const reply: unknown = JSON.parse(await converse(socketPath, request));
  return Value.Check(VisitReply, reply)
    ? reply
    : refused('engine_failed', 'the engine’s answer is malformed');
}

/** One visit: a request on the standard input, one line of JSON back. Never throws; what fails is said. */
export async function visit(stateRoot: string, input: string): Promise<VisitReply> {
  try {
    const request: unknown = JSON.parse(input);
    if (!Value.Check(VisitRequest, request))
      return refused('malformed', 'the request is outside the contract');
    const state = locateState(stateRoot);
    await mkdir(state.root, { recursive: true, mode: 0o700 });
    await prepareState(state);
    switch (request.kind) {
      case 'describe':
        return await describe(state);
      case 'adopt':
        return await adopt(state, request);
      case 'take':
        return await take(state);
      case 'give_back':
        return await giveBack(state);
      case 'open':
      case 'frames':
        return await talk(state, request);
    }
  } catch (error) {
    return refused('engine_failed', error instanceof Error ? error.message : String(error));
  }
}
