import { invariant } from '../../platform/errors.ts';
import type { Logger } from '../../platform/log.ts';
import type { AgentIdentity, HostsHandlers, HostsPort } from '../port.ts';
import type { JobFault } from './faults.ts';
import type { Access, SshRunner } from './runner.ts';
import { VisitSession, type VisitRhythm } from './session.ts';

/** A host that SSH drives. */
export interface VisitedHost {
  readonly accessId: string;
  readonly identity: AgentIdentity;
}

export interface AnsibleHostsOptions {
  readonly runner: Pick<SshRunner, 'visit' | 'install'>;
  readonly log: Logger;
  /** Every host that SSH drives now. */
  readonly listHosts: () => Promise<readonly VisitedHost[]>;
  /** Address and credential, read anew for each job; null when the access is gone. */
  readonly openAccess: (host: VisitedHost) => Promise<Access | null>;
  /** What the last visit of a host came to. */
  readonly contacted: (host: VisitedHost, fault: JobFault | null) => Promise<void>;
  readonly rhythm?: Partial<VisitRhythm>;
}

/** A HostsPort whose frames travel with visits over SSH. */
export interface AnsibleHosts extends HostsPort {
  /** True for an agent that is reached this way, whether it answers now or not. */
  readonly knows: (agentId: string) => boolean;
  /** Takes up hosts that have become SSH's and lets go of the others. */
  readonly refresh: () => Promise<void>;
}

/** Another process may have begun or ended an access, or died and left its hosts to this one. */
const lookEveryMs = 30_000;

const usual: VisitRhythm = { waitMs: 4_000, idleMs: 300_000, againMs: 3_000 };

class Visits implements AnsibleHosts {
  readonly #options: AnsibleHostsOptions;
  readonly #sessions = new Map<string, { readonly accessId: string; readonly session: VisitSession }>();
  #handlers: HostsHandlers | undefined;
  #turn: Promise<void> = Promise.resolve();
  #stopping = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AnsibleHostsOptions) {
    this.#options = options;
  }

  readonly start = async (handlers: HostsHandlers): Promise<void> => {
    this.#handlers = handlers;
    await this.refresh();
    const look = (): void =>
      void this.#take(false).catch((error: unknown) =>
        this.#options.log.warn({ err: error }, 'hosts over SSH are looked up again later'),
      );
    this.#timer = setInterval(look, lookEveryMs);
    this.#timer.unref();
  };

  readonly stop = async (): Promise<void> => {
    this.#stopping = true;
    clearInterval(this.#timer);
    await this.#turn;
    await Promise.all([...this.#sessions.values()].map(({ session }) => session.stop()));
    this.#sessions.clear();
  };

  readonly refresh = (): Promise<void> => this.#take(true);

  readonly knows = (agentId: string): boolean => this.#sessions.has(agentId);

  readonly send: HostsPort['send'] = (agentId, frame) =>
    this.#sessions.get(agentId)?.session.send(frame) ?? 'not_connected';

  readonly isConnected = (agentId: string): boolean => this.#sessions.get(agentId)?.session.open ?? false;

  readonly connectedAgents = (): Iterable<AgentIdentity> =>
    [...this.#sessions.values()].filter(({ session }) => session.open).map(({ session }) => session.identity);

  readonly disconnect: HostsPort['disconnect'] = (agentId, code) => {
    const known = this.#sessions.get(agentId);
    if (known === undefined) return;
    this.#sessions.delete(agentId);
    this.#options.log.info({ agentId, code }, 'a host is not visited any more');
    void known.session.stop().catch((error: unknown) => this.#report(agentId, error));
  };

  #take(hurry: boolean): Promise<void> {
    const mine = this.#turn.then(() => this.#reconcile(hurry));
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #reconcile(hurry: boolean): Promise<void> {
    const handlers = this.#handlers;
    if (handlers === undefined || this.#stopping) return;
    const wanted = new Map((await this.#options.listHosts()).map((host) => [host.identity.agentId, host]));
    for (const [agentId, { accessId, session }] of [...this.#sessions]) {
      if (wanted.get(agentId)?.accessId === accessId) continue;
      this.#sessions.delete(agentId);
      await session.stop();
    }
    for (const [agentId, host] of wanted) {
      const known = this.#sessions.get(agentId);
      if (known === undefined) this.#begin(host, handlers);
      else if (hurry) known.session.hurry();
    }
  }

  #begin(host: VisitedHost, handlers: HostsHandlers): void {
    const { runner, rhythm, contacted } = this.#options;
    const { agentId } = host.identity;
    const session = new VisitSession({
      identity: host.identity,
      handlers,
      rhythm: { ...usual, ...rhythm },
      visit: async (request, signal) => runner.visit(await this.#open(host), request, signal),
      install: async (signal) => runner.install(await this.#open(host), signal),
      contacted: (fault) => contacted(host, fault),
      failed: (error) => this.#report(agentId, error),
    });
    this.#sessions.set(agentId, { accessId: host.accessId, session });
    session.start();
  }

  async #open(host: VisitedHost): Promise<Access> {
    const access = await this.#options.openAccess(host);
    invariant(access !== null, 'an access in use was removed');
    return access;
  }

  #report(agentId: string, error: unknown): void {
    this.#options.log.error({ err: error, agentId }, 'a visit was not dealt with');
  }
}

export function createAnsibleHosts(options: AnsibleHostsOptions): AnsibleHosts {
  return new Visits(options);
}
