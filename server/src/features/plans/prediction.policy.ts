import type { PlanHost } from '#contract/plans.ts';
import { orderSteps, type OrderStep } from '#contract/trust.ts';

/** What a committed host run took, seconds for each of its steps. */
export interface PastRun {
  readonly hostRunId: string;
  readonly hostId: string;
  readonly hostClass: string | null;
  readonly seconds: Readonly<Partial<Record<OrderStep, number>>>;
}

/** What former runs say, newest first, and what is allowed for where they say nothing. */
export interface PastRuns {
  readonly runs: readonly PastRun[];
  /** Classes of hosts by their id. */
  readonly classes: ReadonlyMap<string, string>;
  /** The longest that each step may take, seconds. */
  readonly limits: Readonly<Record<OrderStep, number>>;
}

/** The same, sorted by what each run says something about. */
export interface History extends Pick<PastRuns, 'classes' | 'limits'> {
  readonly ofHost: ReadonlyMap<string, readonly PastRun[]>;
  readonly ofClass: ReadonlyMap<string, readonly PastRun[]>;
  readonly ofFleet: readonly PastRun[];
  /** Seconds that taking the work of a host away may take at most, and bringing it back again; absent: nothing is taken away. */
  readonly drainS?: number;
}

/** One way in which the work on a host may go, seconds from its first step. */
export interface Sample {
  /** Until it is committed. */
  readonly totalS: number;
  /** Until its last change begins: the restart, or the installation when there is none. */
  readonly changeS: number;
}

/** What to expect of a host, and from what. */
export interface HostPrediction {
  readonly wave: number;
  readonly samples: readonly Sample[];
  readonly hostRunIds: readonly string[];
  readonly expected: NonNullable<PlanHost['expectedSeconds']>;
}

/** How long a whole plan is expected to take, milliseconds: low is P50, high is P95. */
export interface PlanDuration {
  readonly lowMs: number;
  readonly highMs: number;
  /** When its last wave starts. */
  readonly lastStartLowMs: number;
  readonly lastStartHighMs: number;
  /** When its last restart or installation begins. */
  readonly lastChangeLowMs: number;
  readonly lastChangeHighMs: number;
  /** Former host runs that it rests on. */
  readonly runs: number;
  /** Hosts for which only the limits of the steps are known. */
  readonly hostsOnLimits: number;
}

const low = 0.5;
const high = 0.95;
/** Of older runs nothing is learnt any more. */
const remembered = 50;
/** Fewer runs than these say too little about one host or its kind; any run is better than none. */
const enough = { host_history: 3, class_history: 5, fleet_history: 1 } as const;

/** The smallest value that at least this share of the values does not exceed. */
function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length - 1e-9) - 1)] ?? 0;
}

/**
 * When everybody is done with this probability, if each is as likely to take any of its own values:
 * the slowest of many is late more often than each of them.
 */
function slowest(hosts: readonly (readonly number[])[], share: number): number {
  const moments = hosts
    .flatMap((values, host) => values.map((value) => ({ value, host, of: values.length })))
    .sort((a, b) => a.value - b.value);
  const passed = hosts.map(() => 0);
  let waiting = hosts.length;
  let logShare = 0;
  for (const { value, host, of } of moments) {
    const before = passed[host] ?? 0;
    passed[host] = before + 1;
    if (before === 0) waiting -= 1;
    logShare += Math.log((before + 1) / of) - (before === 0 ? 0 : Math.log(before / of));
    if (waiting === 0 && logShare >= Math.log(share) - 1e-9) return value;
  }
  return moments.at(-1)?.value ?? 0;
}

function stepsOf(host: PlanHost, { drainS }: History): OrderStep[] {
  const left: readonly OrderStep[] = [
    'rollback',
    ...(drainS === undefined ? (['drain', 'undrain'] as const) : []),
    ...(host.restart === 'no' ? (['restart'] as const) : []),
    ...(host.rollbackTier === 1 ? [] : (['guard'] as const)),
  ];
  return orderSteps.filter((step) => !left.includes(step));
}

type Seconds = Readonly<Partial<Record<OrderStep, number>>>;

function sampleOf(seconds: Seconds, steps: readonly OrderStep[]): Sample {
  const sum = (some: readonly OrderStep[]): number =>
    some.reduce((total, step) => total + (seconds[step] ?? 0), 0);
  const change: OrderStep = steps.includes('restart') && (seconds.restart ?? 0) > 0 ? 'restart' : 'install';
  return { totalS: sum(steps), changeS: sum(steps.slice(0, steps.indexOf(change))) };
}

function grouped(
  runs: readonly PastRun[],
  keyOf: (run: PastRun) => string | null,
): ReadonlyMap<string, readonly PastRun[]> {
  const groups = Map.groupBy(runs, keyOf);
  groups.delete(null);
  return new Map([...groups].map(([key, some]) => [key ?? '', some.slice(0, remembered)]));
}

/** Sorts former runs by what they say something about. */
export function historyOf({ runs, classes, limits }: PastRuns): History {
  return {
    classes,
    ofHost: grouped(runs, (run) => run.hostId),
    ofClass: grouped(runs, (run) => run.hostClass),
    ofFleet: runs.slice(0, remembered),
    limits,
  };
}

interface Pool {
  readonly basis: HostPrediction['expected']['basis'];
  readonly runs: readonly PastRun[];
}

/** The closest runs of which there are enough: the host's own, those of its kind, those of the fleet. */
function poolFor(hostId: string, history: History): Pool | null {
  const hostClass = history.classes.get(hostId);
  const pools = [
    { basis: 'host_history', runs: history.ofHost.get(hostId) ?? [] },
    { basis: 'class_history', runs: history.ofClass.get(hostClass ?? '') ?? [] },
    { basis: 'fleet_history', runs: history.ofFleet },
  ] as const;
  return pools.find(({ basis, runs }) => runs.length >= enough[basis]) ?? null;
}

/** A run without the restart that the plan gives for certain would foretell too little. */
function withRestart(seconds: readonly Seconds[], host: PlanHost, history: History): Seconds[] {
  if (host.restart !== 'yes') return [...seconds];
  const known = history.ofFleet.flatMap((run) =>
    run.seconds.restart === undefined ? [] : [run.seconds.restart],
  );
  const restart = known.length === 0 ? history.limits.restart : quantile(known, low);
  return seconds.map((one) => ({ restart, ...one }));
}

/** A run without what the plan takes away and brings back would foretell too little. */
function withDrain(seconds: readonly Seconds[], { drainS }: History): Seconds[] {
  return seconds.map((one) => (drainS === undefined ? one : { drain: drainS, undrain: drainS, ...one }));
}

/** What to expect of one host of a plan. Pure. */
export function predictHost(host: PlanHost & { readonly wave: number }, history: History): HostPrediction {
  const steps = stepsOf(host, history);
  const pool = poolFor(host.hostId, history);
  const { drain: _drain, undrain: _undrain, ...limits } = history.limits;
  const known =
    pool === null
      ? [limits]
      : withRestart(
          pool.runs.map((run) => run.seconds),
          host,
          history,
        );
  const seconds = withDrain(known, history);
  const samples = seconds.map((one) => sampleOf(one, steps));
  const between = (values: readonly number[]): { low: number; high: number } => ({
    low: Math.round(quantile(values, low)),
    high: Math.round(quantile(values, high)),
  });
  return {
    wave: host.wave,
    samples,
    hostRunIds: pool === null ? [] : pool.runs.map((run) => run.hostRunId),
    expected: {
      ...between(samples.map(({ totalS }) => totalS)),
      basis: pool?.basis ?? 'allowances',
      runs: pool?.runs.length ?? 0,
      steps: steps.map((step) => ({ step, ...between(seconds.map((one) => one[step] ?? 0)) })),
    },
  };
}

/** The hosts of a plan with what to expect of those that change, and that by itself. Pure. */
export function predictHosts(
  hosts: readonly PlanHost[],
  history: History,
): { readonly hosts: PlanHost[]; readonly predictions: HostPrediction[] } {
  const predictions: HostPrediction[] = [];
  const said = hosts.map((host): PlanHost => {
    const { included, wave } = host;
    if (!included || wave === null) return host;
    const prediction = predictHost({ ...host, wave }, history);
    predictions.push(prediction);
    return { ...host, expectedSeconds: prediction.expected };
  });
  return { hosts: said, predictions };
}

interface Ends {
  readonly totalS: number;
  readonly startS: number;
  readonly changeS: number;
}

function endsOf(waves: readonly (readonly HostPrediction[])[], pauseS: number, share: number): Ends {
  let startS = 0;
  let ends: Ends = { totalS: 0, startS: 0, changeS: 0 };
  for (const hosts of waves) {
    const pick = (of: (sample: Sample) => number): number =>
      slowest(
        hosts.map(({ samples }) => samples.map(of)),
        share,
      );
    const totalS = startS + pick((sample) => sample.totalS);
    ends = { totalS, startS, changeS: startS + pick((sample) => sample.changeS) };
    startS = totalS + pauseS;
  }
  return ends;
}

/**
 * Waves follow one another with the policy's pause; the hosts of a wave, as many as budgets and policy let the planner
 * put into it, work side by side. The P95 of the whole is the sum of those of its waves, so it is a cautious one.
 * Null when nothing is to be done. Pure.
 */
export function predictPlan(hosts: readonly HostPrediction[], pauseS: number): PlanDuration | null {
  if (hosts.length === 0) return null;
  const numbers = [...new Set(hosts.map(({ wave }) => wave))].sort((a, b) => a - b);
  const waves = numbers.map((wave) => hosts.filter((host) => host.wave === wave));
  const [half, most] = [endsOf(waves, pauseS, low), endsOf(waves, pauseS, high)];
  const second = 1000;
  return {
    lowMs: half.totalS * second,
    highMs: most.totalS * second,
    lastStartLowMs: half.startS * second,
    lastStartHighMs: most.startS * second,
    lastChangeLowMs: half.changeS * second,
    lastChangeHighMs: most.changeS * second,
    runs: new Set(hosts.flatMap(({ hostRunIds }) => hostRunIds)).size,
    hostsOnLimits: hosts.filter(({ expected }) => expected.basis === 'allowances').length,
  };
}
