import type { BuildAsk } from '#contract/builds.ts';

/** So many hosts become another version at the same time. */
export const maxAsked = 10;
/** An agent that was busy, or whose answer was lost, is asked again after this time. */
export const askAgainMs = 60_000;
/**
 * An agent that was asked is back, on one version or the other, in half an hour at most: three starts of ten minutes. One
 * that is not stops the rollout before others share its fate.
 */
export const silentAfterMs = 45 * 60_000;

/** Where one host stands, as far as the next step depends on it. */
export interface AskFacts {
  readonly id: string;
  readonly hostname: string;
  readonly ring: number;
  readonly state: BuildAsk['state'];
  readonly code: string | null;
  readonly detail: string;
  readonly askedAtMs: number | null;
  readonly endedAtMs: number | null;
  readonly isConnected: boolean;
  readonly runningVersion: string | null;
  /** A run holds the host. */
  readonly isClaimed: boolean;
}

export interface RolloutFacts {
  readonly version: string;
  readonly soakMs: number;
  readonly expiresAtMs: number;
}

/** What happens next: the rollout ends, or these hosts are asked, perhaps none. */
export type NextStep =
  | { readonly kind: 'end'; readonly state: 'done' | 'halted'; readonly why: string | null }
  | { readonly kind: 'ask'; readonly askIds: string[] };

/** A host that is as new already needs nothing. */
const isHarmless = (ask: AskFacts): boolean => ask.state === 'refused' && ask.code === 'not_newer';
const isOpen = (ask: AskFacts): boolean => ask.state === 'waiting' || ask.state === 'asked';

function findTrouble(asks: readonly AskFacts[], nowMs: number): string | null {
  const bad = asks.find((ask) => ask.state === 'reverted' || (ask.state === 'refused' && !isHarmless(ask)));
  if (bad !== undefined) return `${bad.hostname}: ${bad.state}, ${bad.code ?? ''} ${bad.detail}`.trim();
  const isLost = (ask: AskFacts) =>
    ask.state === 'asked' && !ask.isConnected && nowMs - (ask.askedAtMs ?? nowMs) > silentAfterMs;
  const lost = asks.find(isLost);
  return lost === undefined ? null : `${lost.hostname}: silent since it was asked`;
}

/** True when the first hosts have all become the version and have been well for long enough. */
function isSoaked(rollout: RolloutFacts, asks: readonly AskFacts[], nowMs: number): boolean {
  const first = asks.filter(({ ring, state }) => ring === 1 && state !== 'dropped');
  return first.every((ask) => {
    if (isHarmless(ask)) return true;
    const isWell = ask.state === 'updated' && ask.isConnected && ask.runningVersion === rollout.version;
    return isWell && nowMs - (ask.endedAtMs ?? nowMs) >= rollout.soakMs;
  });
}

/** Decides the next step of a rollout. `asks` are in the order in which hosts are asked. */
export function decideRollout(rollout: RolloutFacts, asks: readonly AskFacts[], nowMs: number): NextStep {
  const trouble = findTrouble(asks, nowMs);
  if (trouble !== null) return { kind: 'end', state: 'halted', why: trouble.slice(0, 500) };
  if (!asks.some(isOpen)) return { kind: 'end', state: 'done', why: null };
  if (nowMs > rollout.expiresAtMs)
    return { kind: 'end', state: 'halted', why: 'the signed document has expired' };
  const lastRing = isSoaked(rollout, asks, nowMs) ? 2 : 1;
  const isDue = (ask: AskFacts) => ask.askedAtMs === null || nowMs - ask.askedAtMs >= askAgainMs;
  const ready = asks.filter((ask) => ask.isConnected && !ask.isClaimed && ask.ring <= lastRing && isDue(ask));
  const again = ready.filter(({ state }) => state === 'asked');
  const free = maxAsked - asks.filter(({ state }) => state === 'asked').length;
  const fresh = ready.filter(({ state }) => state === 'waiting').slice(0, Math.max(0, free));
  return { kind: 'ask', askIds: [...again, ...fresh].map(({ id }) => id) };
}
