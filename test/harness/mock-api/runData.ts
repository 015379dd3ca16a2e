import type {
  HostRunDetail,
  HostRunState,
  HostRunSummary,
  RunDetail,
  RunSummary,
  StepView,
} from '#contract/runs.ts';
import { at, hosts, idOf, updatesOf } from './fleetData.ts';

const states: readonly HostRunState[] = [
  'committed',
  'rolled_back',
  'verifying',
  'installing',
  'agent_lost',
  'planned',
];

function hostRunAt(index: number): HostRunSummary {
  const state = states[index] ?? 'planned';
  const host = hosts[index + 1] ?? hosts[0];
  const ended = state === 'committed' || state === 'rolled_back';
  const decision =
    state === 'rolled_back'
      ? { at: at(-4), code: 'rolled_back' as const, values: { seconds: 14.2 } }
      : state === 'agent_lost'
        ? { at: at(-1), code: 'agent_silent' as const, values: { state: 'restarting', seconds: 61 } }
        : state === 'planned' && index % 2 === 1
          ? {
              ...{ at: at(-1), code: 'waits_for_group' as const },
              values: {
                group: 'Imagerie',
                host: hosts[1]?.hostname ?? '',
                cause: 'rolled_back',
                run: 42,
                maxDown: 1,
              },
            }
          : null;
  return {
    id: idOf('hostRun', index),
    runId: idOf('run', 42),
    hostId: host?.id ?? '',
    hostname: host?.hostname ?? '',
    wave: index < 2 ? 1 : 2,
    order: index,
    state,
    stateSince: at(-2),
    lostIn: state === 'agent_lost' ? 'restarting' : null,
    outcomes: {
      patch: state === 'rolled_back' ? 'reverted' : ended ? 'installed' : 'not_started',
      restart: ended ? 'proven' : 'pending',
      verification: state === 'rolled_back' ? 'red' : ended ? 'green' : 'not_run',
      guard: state === 'rolled_back' ? 'used' : ended ? 'kept' : 'taken',
    },
    currentStep: ended || state === 'planned' ? null : 'install',
    percent: state === 'installing' ? 62 : null,
    packages: updatesOf(index + 1).length,
    rollbackTier: 1,
    startedAt: state === 'planned' ? null : at(-9),
    endedAt: ended ? at(-4) : null,
    acceptedAt: null,
    lastHeardAt: at(state === 'agent_lost' ? -1.2 : -0.1),
    lastDecision: decision,
    rollbackSeconds: state === 'rolled_back' ? 14.2 : null,
  };
}

export const hostRuns: readonly HostRunSummary[] = states.map((_, index) => hostRunAt(index));

const base = { detail: null, phase: null, percent: null, facts: null, deadlineAt: null, attempt: 1 } as const;
function step(name: StepView['step'], from: number, change: Partial<StepView> = {}): StepView {
  return {
    ...base,
    step: name,
    commandId: idOf('command', name, from),
    state: 'succeeded',
    code: 'ok',
    createdAt: at(from),
    startedAt: at(from),
    endedAt: at(from + 0.6),
    ...change,
  };
}

export function hostRunDetail(hostRunId: string): HostRunDetail | null {
  const hostRun = hostRuns.find((entry) => entry.id === hostRunId);
  if (hostRun === undefined) return null;
  const red = {
    check: 'http http://localhost/',
    ok: false,
    detail: 'connect ECONNREFUSED 127.0.0.1:80',
    tookMs: 30_012,
  };
  const steps = [
    step('preflight', -9),
    step('guard', -8.2),
    step('download', -7.4),
    step('install', -6.6),
    step('verify', -5.5, {
      state: 'failed',
      code: 'check_failed',
      detail: 'nginx did not answer within 30 s',
      facts: { checks: [{ check: 'systemd nginx.service', ok: true, detail: '', tookMs: 120 }, red] },
    }),
    step('rollback', -4.6, {
      facts: {
        rollbackBy: 'order',
        phasesMs: { detected: 0, decided: 310, switched: 2140, rebooted: 9820, green: 14_200 },
      },
    }),
  ];
  return {
    hostRun,
    reach: 'agent',
    steps: hostRun.state === 'rolled_back' ? steps : steps.slice(0, 3),
    decisions: [
      {
        at: at(-5),
        code: 'check_failed',
        values: { step: 'verify', code: 'check_failed', check: 'http http://localhost/' },
      },
      { at: at(-4), code: 'rolled_back', values: { seconds: 14.2 } },
    ],
    packages: updatesOf(5).map(({ name, fromVersion, version }) => ({
      name,
      from: fromVersion,
      to: version,
    })),
  };
}

function runAt(number: number, change: Partial<RunSummary>): RunSummary {
  return {
    id: idOf('run', number),
    number,
    planId: idOf('plan', number),
    releaseId: idOf('release', number),
    title: `Correctifs de sécurité de novembre, vague ${number}`,
    state: 'completed',
    notBefore: at(-60 * (43 - number) * 24),
    notAfter: at(-60 * (43 - number) * 24 + 240),
    startedAt: at(-60 * (43 - number) * 24),
    endedAt: at(-60 * (43 - number) * 24 + 55),
    hosts: 24,
    committed: 24,
    rolledBack: 0,
    failed: 0,
    waiting: 0,
    lastDecision: null,
    version: 8,
    ...change,
  };
}

export const runs: readonly RunSummary[] = [
  runAt(43, {
    state: 'scheduled',
    startedAt: null,
    endedAt: null,
    notBefore: at(205),
    notAfter: at(445),
    committed: 0,
    waiting: 24,
  }),
  runAt(42, {
    state: 'running',
    startedAt: at(-10),
    endedAt: null,
    notBefore: at(-12),
    notAfter: at(228),
    hosts: 6,
    committed: 1,
    rolledBack: 1,
    waiting: 1,
    lastDecision: { at: at(-3), code: 'wave_started', values: { wave: 2, hosts: 4 } },
  }),
  runAt(41, {}),
  runAt(40, { state: 'completed_with_failures', committed: 21, rolledBack: 2, failed: 1 }),
  runAt(39, { state: 'cancelled', committed: 4, waiting: 20 }),
];

export function runDetail(runId: string): RunDetail | null {
  const run = runs.find((entry) => entry.id === runId);
  if (run === undefined) return null;
  const mine = run.number === 42 ? [...hostRuns] : [];
  return {
    run,
    waves: [
      { wave: 1, state: 'done', hosts: 2, ended: 2, well: 1, startsAt: at(-10) },
      { wave: 2, state: 'running', hosts: 4, ended: 0, well: 0, startsAt: at(-3) },
      { wave: 3, state: 'waiting', hosts: 12, ended: 0, well: 0, startsAt: at(14) },
    ],
    hostRuns: mine,
    decisions: [
      { at: at(-10), code: 'wave_started', values: { wave: 1, hosts: 2 } },
      { at: at(-3), code: 'wave_started', values: { wave: 2, hosts: 4 } },
    ],
    endedExceptions: [],
    report:
      run.endedAt === null
        ? null
        : { auditIndex: 18_190, rollbackSecondsMax: 14.2, updatesInstalled: 96, durationS: 3300 },
  };
}

const logTexts = [
  'Reading package lists...',
  'Unpacking nginx (1.22.1-9+deb12u3) over (1.22.1-9+deb12u2) ...',
  'Setting up libssl3:amd64 (3.0.17-1~deb12u3) ...',
  'Setting up nginx (1.22.1-9+deb12u3) ...',
  'Job for nginx.service failed because the control process exited with error code.',
];
export const logLines = Array.from({ length: 60 }, (_, index) => ({
  seq: index + 1,
  at: at(-6 + index * 0.03),
  step: 'install' as const,
  text: logTexts[index % logTexts.length] ?? '',
}));
