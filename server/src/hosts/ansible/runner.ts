import { hash } from 'node:crypto';
import path from 'node:path';
import { Value } from 'typebox/value';
import type { SshFault, SshHostKey, SshTest } from '#contract/reach.ts';
import { maxVisitBytes, VisitReply, type VisitRequest } from '#contract/visit.ts';
import type { Clock } from '../../platform/clock.ts';
import { asDetail, faultOf, type JobEvent, type JobFault } from './faults.ts';
import { findInstallation, type Installation } from './installation.ts';
import { runInSandbox } from './sandbox.ts';
import { readSurvey } from './survey.ts';

/** Where a host is and what it must prove. Everything in it was checked by the contract. */
export interface SshTarget {
  readonly address: string;
  readonly port: number;
  readonly user: string;
  readonly hostKeyType: SshHostKey['type'];
  readonly hostKey: string;
}

export interface RunnerOptions {
  /** The room `ansible/hosts`. */
  readonly roomDirectory: string;
  /** Where `./atlas agentless install` has put its parts. */
  readonly installDirectory: string;
  readonly hide: readonly string[];
  readonly clock: Clock;
  /** Jobs at one time; each takes about a second of processor time. */
  readonly maxJobs?: number;
}

/** A host, with the one credential that its job needs. */
export interface Access {
  readonly target: SshTarget;
  readonly privateKey: string;
}

export class VisitFailed extends Error {
  readonly fault: JobFault['fault'];

  constructor({ fault, detail }: JobFault) {
    super(detail === '' ? fault : detail);
    this.name = 'VisitFailed';
    this.fault = fault;
  }
}

const contactMs = 45_000;
const visitMs = 90_000;
const installMs = 600_000;

// An RSA key is pinned by its bytes; the signature over it may only use SHA-2.
const algorithms: Partial<Record<SshHostKey['type'], string>> = { 'ssh-rsa': 'rsa-sha2-512,rsa-sha2-256' };

interface Answer {
  readonly uid: number;
  readonly events?: JobEvent[];
  readonly said?: string;
  readonly keys?: { type: string; key: string }[];
  readonly isIsolated: boolean;
}

/** SHA-256 of a key's bytes as OpenSSH prints it. */
export function fingerprintOf(keyBytes: string): string {
  return `SHA256:${hash('sha256', Buffer.from(keyBytes, 'base64'), 'base64').replace(/=+$/, '')}`;
}

/** Runs playbooks on hosts, one sandboxed process a job. It knows no tenant and keeps no credential. */
export class SshRunner {
  readonly #options: RunnerOptions;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  /** The keys that an address shows; nobody has vouched for them yet. */
  async readHostKeys(
    address: string,
    port: number,
  ): Promise<{ keys: SshHostKey[]; fault: SshFault | null; detail: string }> {
    const installation = await findInstallation(this.#options.installDirectory);
    if (installation === null) return { keys: [], fault: 'runner_missing', detail: '' };
    const answer = await this.#run(
      installation,
      { kind: 'keyscan', target: { address, port } },
      { timeoutMs: 30_000 },
    );
    const keys = (answer.keys ?? [])
      .map(({ type, key }) => ({ type, key, fingerprint: fingerprintOf(key) }))
      .filter(
        (key): key is SshHostKey =>
          key.type === 'ssh-ed25519' || key.type.startsWith('ecdsa-sha2-') || key.type === 'ssh-rsa',
      );
    return { keys, fault: keys.length === 0 ? 'unreachable' : null, detail: asDetail(answer.said ?? '') };
  }

  /** Tries an access without changing anything on the host. A fault is an answer. */
  async contact(access: Access): Promise<SshTest> {
    const startedMs = this.#options.clock.now();
    const installation = await findInstallation(this.#options.installDirectory);
    const none = { steps: [], python: null, arch: null, freeBytes: null };
    if (installation === null)
      return { ok: false, fault: 'runner_missing', detail: '', ...none, sandbox: 'none', tookMs: 0 };
    const told = await this.#play(installation, 'contact.yml', {
      access,
      variables: {},
      timeoutMs: contactMs,
    }).catch((error: unknown) => {
      if (error instanceof VisitFailed) return { error };
      throw error;
    });
    const tookMs = Math.round(this.#options.clock.now() - startedMs);
    if ('error' in told) {
      const fault = told.error.fault === 'engine_missing' ? 'engine_failed' : told.error.fault;
      return { ok: false, fault, detail: told.error.message, ...none, sandbox: 'none', tookMs };
    }
    const { isIsolated, uid, events = [] } = told;
    const sandbox = isIsolated ? (uid === 0 ? 'name_spaces' : 'other_user') : 'process_group';
    return { ...readSurvey(events), sandbox, tookMs };
  }

  /** One visit of the engine on a host. Throws VisitFailed: then it is unknown whether the engine heard us. */
  async visit(access: Access, request: VisitRequest, signal?: AbortSignal): Promise<VisitReply> {
    const installation = await this.#require();
    const text = JSON.stringify(request);
    if (Buffer.byteLength(text) > maxVisitBytes)
      throw new Error('a visit is larger than the contract allows');
    const { events = [] } = await this.#play(installation, 'visit.yml', {
      access,
      variables: { engine_digest: installation.manifest.digest, request: text },
      timeoutMs: visitMs,
      ...(signal === undefined ? {} : { signal }),
    });
    const fault = faultOf(events);
    if (fault !== null) throw new VisitFailed(fault);
    return parseReply(String(events.find(({ task }) => task === 'visit')?.facts['stdout'] ?? ''));
  }

  /** Brings the engine to a host. Throws VisitFailed. */
  async install(access: Access, signal?: AbortSignal): Promise<void> {
    const installation = await this.#require();
    const { events = [] } = await this.#play(installation, 'install.yml', {
      access,
      variables: { engine_digest: installation.manifest.digest },
      bring: installation.archive,
      timeoutMs: installMs,
      ...(signal === undefined ? {} : { signal }),
    });
    const fault = faultOf(events);
    if (fault !== null) throw new VisitFailed(fault);
  }

  async #require(): Promise<Installation> {
    const installation = await findInstallation(this.#options.installDirectory);
    if (installation === null) throw new VisitFailed({ fault: 'runner_missing', detail: '' });
    return installation;
  }

  async #play(
    installation: Installation,
    playbook: string,
    job: {
      readonly access: Access;
      readonly variables: Readonly<Record<string, string>>;
      readonly bring?: string;
      readonly timeoutMs: number;
      readonly signal?: AbortSignal;
    },
  ): Promise<Answer> {
    const { target, privateKey } = job.access;
    const hostKeyAlgorithms = algorithms[target.hostKeyType] ?? target.hostKeyType;
    const answer = await this.#run(
      installation,
      {
        ...{ kind: 'playbook', playbook, privateKey, variables: job.variables },
        ...{ target: { ...target, hostKeyAlgorithms }, archive: job.bring ?? null },
      },
      job,
    );
    if ((answer.events ?? []).length === 0) {
      // Ansible itself did not start: nothing was said to the host.
      throw new VisitFailed({ fault: 'engine_failed', detail: asDetail(answer.said ?? '') });
    }
    return answer;
  }

  async #run(
    installation: Installation,
    job: object,
    limits: { readonly timeoutMs: number; readonly bring?: string; readonly signal?: AbortSignal },
  ): Promise<Answer> {
    await this.#enter();
    try {
      const { roomDirectory, hide } = this.#options;
      const { python } = installation;
      const done = await runInSandbox({ roomDirectory, python, hide, input: JSON.stringify(job), ...limits });
      if (done.timedOut) throw new VisitFailed({ fault: 'timed_out', detail: '' });
      if (done.exitCode !== 0)
        throw new VisitFailed({
          fault: 'engine_failed',
          detail: asDetail(done.stderr || `exit ${done.exitCode}`),
        });
      return { ...(JSON.parse(done.stdout) as Omit<Answer, 'isIsolated'>), isIsolated: done.isIsolated };
    } finally {
      this.#leave();
    }
  }

  async #enter(): Promise<void> {
    if (this.#running >= (this.#options.maxJobs ?? 4))
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running += 1;
  }

  #leave(): void {
    this.#running -= 1;
    this.#waiting.shift()?.();
  }
}

function parseReply(text: string): VisitReply {
  let reply: unknown;
  try {
    reply = JSON.parse(text);
  } catch (cause) {
    throw new VisitFailed({
      fault: 'engine_failed',
      detail: `no reply: ${asDetail(text, 200)}: ${String(cause)}`,
    });
  }
  if (!Value.Check(VisitReply, reply))
    throw new VisitFailed({ fault: 'engine_failed', detail: 'the reply does not fit the contract' });
  return reply;
}

/** The room of the playbooks, beside the server's sources. */
export const playbookRoom = path.resolve(import.meta.dirname, '../../../../ansible/hosts');
