/** The mood of a world's weather: from nothing at all to deaths, lies of the network, and people who press buttons. */
export type Mood = 'calm' | 'gentle' | 'slow' | 'bad';

/**
 * What a kind of world fixes; what it leaves open the seed draws. A rare meeting of circumstances is found sooner where
 * those are common: whoever looks for one may name the kind of world, never the moment.
 */
export interface WorldKind {
  readonly mood: Mood | null;
  readonly isDrained: boolean | null;
  readonly isGuarded: boolean | null;
  /** Length of every run's window, minutes. */
  readonly windowMinutes: number | null;
  /** Mishaps that come whatever else does. */
  readonly besides: readonly ('agentDies' | 'leftAlone' | 'networkCut' | 'person' | 'powerLost' | 'stop')[];
  /** How often they come, milliseconds. */
  readonly everyMs: number | null;
  /** Probability of a death around what changes a host. */
  readonly atEffect: number | null;
  /** Probability that a service or the site's own program does not do what it is told. */
  readonly stubborn: number | null;
  /** Probability that the service of a host does not come up with its update. */
  readonly broken: number;
  /** Probability that people freeze a time around the beginning of the runs. */
  readonly frozen: number;
  /** Probability that hosts stand in for each other, and as much that one of them runs on another host. */
  readonly grouped: number;
}

const open: WorldKind = {
  ...{ mood: null, isDrained: null, isGuarded: null, windowMinutes: null },
  ...{ besides: [], everyMs: null, atEffect: null },
  ...{ stubborn: null, broken: 0.25, frozen: 0.25, grouped: 0.3 },
};

/** Kinds of worlds by name. */
export const worldKinds = {
  /** Whatever the seed draws. */
  any: open,
  /** Nothing comes that may harm a host with a guard: cut networks and whatever else the product must bear. */
  gentle: { ...open, mood: 'gentle', isGuarded: true, windowMinutes: 60, besides: ['networkCut'] },
  /** The work of every host is taken away before it is changed, and does not come back easily. */
  drained: { ...open, mood: 'bad', isDrained: true, besides: ['leftAlone'], stubborn: 0.4 },
  /** Disks on which a flush takes a second, hosts with a guard, and windows that let them come to their commit. */
  slow: { ...open, mood: 'slow', isGuarded: true, windowMinutes: 60 },
  /** Hosts with a guard that are cut off in the middle of a bad update, for longer than any guard waits. */
  alone: { ...open, mood: 'bad', isGuarded: true, windowMinutes: 60, besides: ['leftAlone'], broken: 0.6 },
  /** Hosts with a guard and a good update whose agent or power goes when it hurts, and that suffer from nothing else. */
  mortal: {
    ...{ ...open, mood: 'calm', isDrained: false, isGuarded: true, windowMinutes: 60, broken: 0 },
    ...{ besides: ['agentDies', 'powerLost'], everyMs: 15_000, atEffect: 0.4 },
  },
  /** Somebody closes the emergency stop again and again while hosts wait for each other, in fine weather. */
  stopped: { ...open, mood: 'calm', besides: ['stop'], grouped: 1 },
  /** Bad updates without a guard, and a person who presses buttons all the time. */
  pressed: {
    ...{ ...open, mood: 'calm', isGuarded: false, windowMinutes: 60, broken: 0.6 },
    ...{ besides: ['person'], everyMs: 6000 },
  },
  /** Hosts that stand in for each other and run on each other. */
  grouped: { ...open, windowMinutes: 60, grouped: 1 },
  /** A freeze is at hand whenever a run begins. */
  frozen: { ...open, windowMinutes: 60, frozen: 1 },
} as const satisfies Readonly<Record<string, WorldKind>>;

export type WorldKindName = keyof typeof worldKinds;

/** Whether a text names a kind of world. */
export function isWorldKind(name: string): name is WorldKindName {
  return Object.hasOwn(worldKinds, name);
}
