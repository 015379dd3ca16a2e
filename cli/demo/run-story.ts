import { setTimeout as sleep } from 'node:timers/promises';
import type { HostRunState } from '#contract/runs.ts';
import type { Decision, HostRunSummary, RunDetail } from '#contract/runs.ts';
import type { Text } from '../../stack/text.ts';
import type { Api } from '../api.ts';
import type { MeasuredRollback } from './job.ts';

const stateWords: Partial<Record<HostRunState, Text>> = {
  preflight: ['vérifications avant intervention', 'preflight checks'],
  guarding: ['point de contrôle en cours', 'taking a checkpoint'],
  guarded: ['point de contrôle pris et relu', 'checkpoint taken and read again'],
  downloading: ['téléchargement des mises à jour validées', 'downloading the released updates'],
  draining: ['mise à l’écart', 'draining'],
  installing: ['installation', 'installing'],
  awaiting_restart: ['redémarrage demandé', 'restart requested'],
  restarting: ['redémarrage', 'restarting'],
  undraining: ['remise en service', 'back into service'],
  verifying: ['contrôles de santé', 'health checks'],
  committing: ['confirmation', 'confirming'],
  committed: ['mis à jour et confirmé', 'updated and confirmed'],
  rollback_decision: ['décision de retour arrière', 'deciding on rollback'],
  rolling_back: ['retour au point de contrôle', 'going back to the checkpoint'],
  rolled_back: ['revenu à l’état précédent', 'back in its previous state'],
  rollback_failed: [
    'retour arrière en échec : une personne doit intervenir',
    'rollback failed: a person has to act',
  ],
  agent_lost: ['plus de nouvelles : état inconnu', 'no news: state unknown'],
  failed: ['échec, rien n’a été changé de plus', 'failed, nothing more was changed'],
  cancelled: ['annulé', 'cancelled'],
  missed: ['fenêtre manquée', 'window missed'],
};

const reasonWords: Partial<Record<Decision['code'], Text>> = {
  check_failed: ['un contrôle de santé a échoué', 'a health check failed'],
  install_failed: ['l’installation a échoué', 'the installation failed'],
  silence_reverted: [
    'sans nouvelle du serveur, le gardien est revenu seul en arrière',
    'hearing nothing from the server, the guardian went back by itself',
  ],
  agent_reverted: ['l’agent est revenu seul en arrière', 'the agent went back by itself'],
  undrain_failed: ['sa remise en service n’est pas acquise', 'it is not known to be back in service'],
  restart_not_proven: ['le redémarrage n’est pas prouvé', 'the restart is not proven'],
};

const inSeconds = [
  (seconds: number): string => `${seconds.toFixed(1).replace('.', ',')} s`,
  (seconds: number): string => `${seconds.toFixed(1)} s`,
] as const;

const explainedStates = new Set<HostRunState>(['rollback_decision', 'rolling_back', 'rolled_back']);

/** Where a run is told: each line once. */
export interface RunTold {
  readonly say: (line: Text) => void;
  /** Called once for each new state of a host, before the line is said. */
  readonly onState?: (host: HostRunSummary) => Promise<void>;
}

function lineOf(host: HostRunSummary): Text {
  const words = stateWords[host.state] ?? [host.state, host.state];
  const reason = host.lastDecision === null ? undefined : reasonWords[host.lastDecision.code];
  const seconds = host.rollbackSeconds;
  const explained = explainedStates.has(host.state) ? reason : undefined;
  const took: Text =
    seconds === null || host.state !== 'rolled_back'
      ? ['', '']
      : [` — service rétabli en ${inSeconds[0](seconds)}`, ` — service restored in ${inSeconds[1](seconds)}`];
  const why: Text = explained === undefined ? ['', ''] : [` (${explained[0]})`, ` (${explained[1]})`];
  const name = host.hostname.padEnd(10);
  return [`  ${name} ${words[0]}${why[0]}${took[0]}`, `  ${name} ${words[1]}${why[1]}${took[1]}`];
}

const phaseWords: Readonly<Record<string, Text>> = {
  detected: ['panne vue', 'fault seen'],
  decided: ['retour décidé', 'revert decided'],
  switched: ['racine échangée', 'root exchanged'],
  rebooted: ['redémarré', 'restarted'],
  green: ['contrôles verts', 'checks green'],
};

/** The measured phases of one rollback as a line: seconds since the fault was seen. */
export function lineOfPhases({ hostname, phasesMs }: MeasuredRollback): Text {
  const phases = Object.entries(phasesMs).sort(([, a], [, b]) => a - b);
  const told = (language: 0 | 1): string =>
    phases
      .map(([name, ms]) => `${phaseWords[name]?.[language] ?? name} ${inSeconds[language](ms / 1000)}`)
      .join(' · ');
  return [`  ${hostname.padEnd(10)} ${told(0)}`, `  ${hostname.padEnd(10)} ${told(1)}`];
}

const over = new Set(['completed', 'completed_with_failures', 'cancelled', 'expired']);

/** Tells what is new in a run since the last look. */
export class RunTeller {
  readonly #told: RunTold;
  readonly #seen = new Map<string, string>();
  readonly #waves = new Set<number>();

  constructor(told: RunTold) {
    this.#told = told;
  }

  async tell(detail: RunDetail): Promise<void> {
    const { say, onState } = this.#told;
    for (const { wave, state, hosts } of detail.waves) {
      if (state !== 'waiting' && !this.#waves.has(wave)) {
        this.#waves.add(wave);
        say([`Vague ${wave} : ${hosts} hôte(s)`, `Wave ${wave}: ${hosts} host(s)`]);
      }
      const changed = detail.hostRuns.filter(
        (host) => host.wave === wave && host.state !== 'planned' && this.#seen.get(host.id) !== host.state,
      );
      for (const host of changed) {
        this.#seen.set(host.id, host.state);
        await onState?.(host);
        say(lineOf(host));
      }
    }
  }
}

/** Tells a run line by line until it has ended. Throws when it has not within `timeoutMs`. */
export async function tellRun(
  api: Api,
  target: { readonly tenantId: string; readonly runId: string; readonly timeoutMs: number },
  told: RunTold,
): Promise<RunDetail> {
  const params = { tenantId: target.tenantId, runId: target.runId };
  const teller = new RunTeller(told);
  const endAtMs = Date.now() + target.timeoutMs;
  for (;;) {
    const detail = await api.call('getRun', { params });
    await teller.tell(detail);
    if (over.has(detail.run.state)) return detail;
    if (Date.now() > endAtMs)
      throw new Error(
        `run ${detail.run.number} is still ${detail.run.state} after ${target.timeoutMs / 1000} s`,
      );
    await sleep(1000);
  }
}
