/** What a restored host must reach within, milliseconds: the promise that the screen compares with. */
export const rollbackPromiseMs = 120_000;

export interface RollbackPhase {
  readonly name: string;
  readonly tookMs: number;
}

const marks = ['detected', 'decided', 'switched', 'rebooted', 'green'] as const;

/**
 * Durations of a rollback's phases, in order.
 * Agents report the instant of each mark in milliseconds since the failure was seen; a duration is the step from one mark to the next.
 */
export function rollbackPhases(phasesMs: Readonly<Record<string, number>>): RollbackPhase[] {
  let before = phasesMs['detected'] ?? 0;
  return marks.slice(1).flatMap((name) => {
    const at = phasesMs[name];
    if (at === undefined) return [];
    const tookMs = Math.max(0, at - before);
    before = at;
    return [{ name, tookMs }];
  });
}

/** Milliseconds from the sight of the failure to the last mark that was reached. */
export function rollbackTotalMs(phasesMs: Readonly<Record<string, number>>): number {
  return Math.max(0, ...Object.values(phasesMs));
}
