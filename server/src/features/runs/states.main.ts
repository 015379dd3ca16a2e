// Writes the tables of states from what the engine runs on: `node server/src/features/runs/states.main.ts FOLDER`.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  hostRunCauses,
  hostRunCauseWords,
  hostRunTransitions,
  runActionMoves,
  runCauseWords,
  runTransitions,
  terminalHostRunStates,
  type RunCause,
} from '#contract/run-transitions.ts';
import {
  hostRunActions,
  hostRunStates,
  runStates,
  type HostRunState,
  type RunState,
} from '#contract/runs.ts';
import { orderSteps, type OrderStep } from '#contract/trust.ts';
import { clocksOf, comeBackMs, stepVerbs, totalBy, type Clocks } from './host-run.clocks.ts';
import { isBeforeChange, isTerminal, plannedHostRun, type HostRun } from './host-run.model.ts';
import { breakers, runningStates } from './host-run.moves.ts';
import { decide, maxCommitTries } from './host-run.policy.ts';
import { againDelaysMs } from './host-run.results.ts';
import { runDeadline, type RunFacts } from './run.policy.ts';

const notice = 'Made by `./atlas gen` from the tables that the engine runs on; a change here is lost.';
const nextDayMs = 86_400_000;

function duration(ms: number): string {
  const parts = [
    [Math.floor(ms / 3_600_000), 'h'],
    [Math.floor(ms / 60_000) % 60, 'min'],
    [Math.floor(ms / 1000) % 60, 's'],
  ] as const;
  const words = parts.filter(([count]) => count > 0).map(([count, unit]) => `${count} ${unit}`);
  return words.length === 0 ? 'at once' : words.join(' ');
}

function stepOf(state: HostRunState): OrderStep | undefined {
  return orderSteps.find((step) => runningStates[step] === state);
}

/** A host run that has just come to the state at instant 0, with a checkpoint, its order delivered. */
function hostRunIn(state: HostRunState, lostIn: HostRunState | null = null): HostRun {
  const terms = {
    ...({ steps: orderSteps, restart: 'always', rollbackTier: 1 } as const),
    ...{ notAfterMs: nextDayMs, reserveMs: 0, silenceMs: 45_000 },
  };
  const step = stepOf(lostIn ?? state);
  const run: HostRun = {
    ...{ ...plannedHostRun(terms, 1, 0), state, lostIn },
    open:
      step === undefined
        ? null
        : { step, attempt: maxCommitTries, sentAtMs: 0, deliveredAtMs: 0, progressAtMs: null },
    attempts: step === undefined ? {} : { [step]: maxCommitTries },
    drain: step === 'drain' || step === 'undrain' ? 'out' : null,
  };
  const isChanged = !isBeforeChange(run) || step === 'undrain';
  const outcomes = isChanged
    ? { ...run.outcomes, guard: 'taken' as const, patch: 'unknown' as const }
    : run.outcomes;
  const entered = { ...run, outcomes };
  return { ...entered, totalByMs: totalBy(entered, state, 0) };
}

/** What the engine itself does when nothing happens but this clock. */
function expiryOf(run: HostRun, clock: keyof Clocks): string {
  const at = clocksOf(run)[clock];
  if (at === null) return '';
  const heard = clock === 'heartbeatBy' ? 0 : at;
  const others = clock === 'progressBy' || run.open === null ? {} : { progressAtMs: at };
  const alive = { ...run, lastHeardAtMs: heard, open: run.open === null ? null : { ...run.open, ...others } };
  const way = decide(alive, { type: 'clock' }, at).effects.flatMap((effect) =>
    effect.type === 'transition' ? [effect.to] : [],
  );
  return way.length === 0 ? '' : ` → ${way.map((state) => `\`${state}\``).join(' → ')}`;
}

function clockWords(state: HostRunState): string {
  if (isTerminal(state)) return '—';
  if (state === 'planned') return `the window’s end less its reserve${expiryOf(hostRunIn(state), 'totalBy')}`;
  if (state === 'agent_lost') {
    const early = hostRunIn(state, 'preflight');
    const late = hostRunIn(state, 'installing');
    const after = (run: HostRun): string => `${duration(run.totalByMs ?? 0)}${expiryOf(run, 'totalBy')}`;
    return `lost before a change: ${after(early)}; after: ${after(late)}`;
  }
  const run = hostRunIn(state);
  const clocks = clocksOf(run);
  const queue = clocksOf({ ...run, open: run.open && { ...run.open, deliveredAtMs: null } }).queueBy;
  const named = [
    ['total', 'totalBy'],
    ['progress', 'progressBy'],
    ['silence', 'heartbeatBy'],
  ] as const;
  const said = named.flatMap(([name, clock]) => {
    const at = clocks[clock];
    return at === null ? [] : [`${name} ${duration(at)}${expiryOf(run, clock)}`];
  });
  if (queue !== null) said.push(`undelivered ${duration(queue)}: given again`);
  return said.join('<br>');
}

function breakerWords(state: HostRunState): string {
  const again = `${againDelaysMs.map(duration).join(', ')}`;
  const words: Partial<Record<HostRunState, string>> = {
    [runningStates.install]: `${breakers.rounds} installations of a host in a run, retries counted`,
    awaiting_restart: `${breakers.restarts} restarts in ${duration(breakers.restartsWithinMs)}, and the host counts too`,
    [runningStates.commit]: `${maxCommitTries} orders when its clock runs out`,
  };
  const tries = stepOf(state) === undefined ? [] : [`what may pass is tried again after ${again}`];
  const own = words[state];
  return [...(own === undefined ? [] : [own]), ...tries].join('<br>') || '—';
}

function undoWords(state: HostRunState): string {
  const actions = Object.entries(hostRunActions)
    .filter(([, states]) => (states as readonly HostRunState[]).includes(state))
    .map(([action]) =>
      action === 'retry' ? 'a person may retry it if nothing was changed' : `a person may ${action} it as up`,
    );
  if (isTerminal(state)) return actions.join('; ') || '—';
  if (state === 'agent_lost') return 'that of the state in which it was lost';
  const back = `\`${stepVerbs.undrain}\`; without a word from the server the host does it alone`;
  if (stepOf(state) === 'drain') return back;
  if (stepOf(state) === 'undrain') return 'is the undo of the drain; the host goes on trying by itself';
  if (isBeforeChange(hostRunIn(state))) return 'none needed: nothing was changed; a checkpoint is kept';
  if (stepOf(state) === 'rollback') return 'is the undo';
  return `\`${stepVerbs.rollback}\` where a checkpoint was taken; without a word from the server the host does it alone`;
}

function leads<State extends string>(moves: Readonly<Partial<Record<State, readonly string[]>>>): string {
  const rows = Object.entries<readonly string[] | undefined>(moves);
  const words = rows.map(
    ([to, causes]) => `\`${to}\`: ${(causes ?? []).map((cause) => `*${cause}*`).join(', ')}`,
  );
  return words.join('<br>') || 'end';
}

function diagram(states: readonly string[], moves: Readonly<Record<string, object>>): string[] {
  const isEnd = (state: string): boolean => Object.keys(moves[state] ?? {}).length === 0;
  return [
    '```mermaid',
    'stateDiagram-v2',
    `  [*] --> ${states[0]}`,
    ...states.flatMap((from) => Object.keys(moves[from] ?? {}).map((to) => `  ${from} --> ${to}`)),
    ...states.filter(isEnd).map((state) => `  ${state} --> [*]`),
    '```',
  ];
}

function causeTable(words: Readonly<Record<string, string>>): string[] {
  return [
    '| cause | meaning |',
    '|---|---|',
    ...Object.entries(words).map(([cause, meaning]) => `| *${cause}* | ${meaning} |`),
  ];
}

/** A run whose one host has not begun, its window an hour long from instant 0. */
function runClock(state: RunState): string {
  const hourMs = 3_600_000;
  const facts: RunFacts = {
    ...{ state, sealed: true, notBeforeMs: 0, startByMs: hourMs, pauseS: 0, failureThresholdPercent: 0 },
    ...{ locked: false, acceptedWave: 0, frozen: null, saidFreezeId: null, quarantined: null },
    members: [{ id: '', wave: 1, state: 'planned', endedAtMs: null }],
  };
  const waits = runDeadline({ ...facts, notBeforeMs: hourMs / 2 }, 0);
  const looks = runDeadline(facts, 0);
  if (waits === null || looks === null) return '—';
  const often = looks < hourMs ? `looks again every ${duration(looks)} while a host could begin; ` : '';
  return `${often}hosts that have not begun by the window’s last start are \`missed\``;
}

function runUndo(state: RunState): string {
  const causes = Object.entries(runTransitions[state]).flatMap(([to, why]) =>
    why
      .filter((cause): cause is RunCause => cause === 'resumed_by_person' || cause === 'host_retried')
      .map((cause) => `\`${to}\`: *${cause}*`),
  );
  if (causes.length > 0) return causes.join('<br>');
  const { to, cause } = runActionMoves.pause;
  return (runTransitions[state][to] ?? []).includes(cause)
    ? 'a person may pause or cancel it; each host has its own undo'
    : '—';
}

function renderStates(): string {
  return [
    '# States of a run and of a host in it',
    '',
    `${notice} The engine throws when it is asked for a transition, or gives a cause, that is not here; a test walks through everything that can happen and compares.`,
    '',
    '## A host’s run',
    '',
    '| state | leads to, because | clocks → what their end does | loop breaker | undo |',
    '|---|---|---|---|---|',
    ...hostRunStates.map(
      (state) =>
        `| \`${state}\` | ${leads(hostRunTransitions[state])} | ${clockWords(state)} | ${breakerWords(state)} | ${undoWords(state)} |`,
    ),
    '',
    `Clocks count for a host that holds a checkpoint and an agent whose silence counts after 45 s; the total clock includes two minutes for the delivery of the order. An installation that began is allowed to end after its window; nothing new begins after the window’s reserve. A server that starts gives what is open at least ${comeBackMs / 1000} s more, and counts silence from its start: what hosts did while nobody listened is told when they are back. A host whose policy takes nothing away passes neither \`draining\` nor \`undraining\`; one whose work is away comes to no end but through \`undraining\`, or its end says that it is not known to be back.`,
    '',
    ...causeTable(Object.fromEntries(hostRunCauses.map((cause) => [cause, hostRunCauseWords[cause]]))),
    '',
    ...diagram(hostRunStates, hostRunTransitions),
    '',
    `Ends: ${terminalHostRunStates.map((state) => `\`${state}\``).join(', ')}. Of them only \`rollback_failed\` can still turn out better.`,
    '',
    '## A run',
    '',
    '| state | leads to, because | clock | loop breaker | undo |',
    '|---|---|---|---|---|',
    ...runStates.map((state) => {
      const breaker =
        state === 'running' ? 'a wave with more failures than the policy allows pauses the run' : '—';
      return `| \`${state}\` | ${leads(runTransitions[state])} | ${runClock(state)} | ${breaker} | ${runUndo(state)} |`;
    }),
    '',
    ...causeTable(runCauseWords),
    '',
    ...diagram(runStates, runTransitions),
    '',
  ].join('\n');
}

writeFileSync(path.join(process.argv[2] ?? 'docs', 'states.md'), renderStates());
