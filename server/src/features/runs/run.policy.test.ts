import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  runActionMoves,
  runActions,
  runTransitions,
  terminalHostRunStates,
} from '#contract/run-transitions.ts';
import { hostRunStates, runStates, type HostRunState } from '#contract/runs.ts';
import { decideRun, runDeadline, type RunFacts } from './run.policy.ts';
import { describeWave, type WaveMember } from './wave.policy.ts';

const t0 = Date.parse('2026-11-21T20:00:00.000Z');

function member(id: string, wave: number, state: HostRunState): WaveMember {
  return { id, wave, state, endedAtMs: terminalHostRunStates.includes(state) ? t0 : null };
}

function facts(members: WaveMember[], change: Partial<RunFacts> = {}): RunFacts {
  return {
    state: 'running',
    sealed: true,
    notBeforeMs: t0,
    startByMs: t0 + 3_000_000,
    pauseS: 60,
    failureThresholdPercent: 50,
    acceptedWave: 0,
    locked: false,
    frozen: null,
    saidFreezeId: null,
    quarantined: null,
    members,
    ...change,
  };
}

const twoWaves = (first: HostRunState, second: HostRunState): WaveMember[] => [
  member('a', 1, first),
  member('b', 1, first),
  member('c', 2, second),
];

describe('a run', () => {
  it('does not start before its release is sealed in the audit log', () => {
    const waiting = facts(twoWaves('planned', 'planned'), { state: 'scheduled', sealed: false });
    expect(decideRun(waiting, t0)).toEqual([]);
    expect(runDeadline(waiting, t0)).toBe(t0 + 1000);
  });

  it('starts its first wave, and only that, when the window opens', () => {
    const effects = decideRun(facts(twoWaves('planned', 'planned'), { state: 'scheduled' }), t0);
    expect(effects.map(({ type }) => type)).toEqual(['transition', 'decide', 'startWave']);
    expect(effects.at(-1)).toEqual({ type: 'startWave', wave: 1, hostRunIds: ['a', 'b'] });
  });

  it('starts the next wave after the pause', () => {
    const ready = facts(twoWaves('committed', 'planned'));
    expect(decideRun(ready, t0 + 59_999)).toEqual([]);
    expect(runDeadline(ready, t0)).toBe(t0 + 60_000);
    expect(decideRun(ready, t0 + 60_000).at(-1)).toEqual({ type: 'startWave', wave: 2, hostRunIds: ['c'] });
  });

  it('pauses when more hosts of a wave failed than people accept, until they say go on', () => {
    const broken = facts([
      member('a', 1, 'rolled_back'),
      member('b', 1, 'failed'),
      member('c', 2, 'planned'),
    ]);
    expect(decideRun(broken, t0 + 60_000).at(-1)).toEqual({
      type: 'transition',
      from: 'running',
      to: 'paused',
    });
    const accepted = { ...broken, acceptedWave: 1 };
    expect(decideRun(accepted, t0 + 60_000).at(-1)).toMatchObject({ type: 'startWave', wave: 2 });
  });

  it('pauses under an emergency stop and does not start', () => {
    const stopped = facts(twoWaves('committed', 'planned'), { locked: true });
    expect(decideRun(stopped, t0 + 60_000).at(-1)).toEqual({
      type: 'transition',
      from: 'running',
      to: 'paused',
    });
    expect(decideRun({ ...stopped, state: 'scheduled' }, t0 + 60_000)).toEqual([]);
  });

  it('pauses before a wave that would install an update in quarantine, and again when people say go on', () => {
    const quarantined = { name: 'openssl', version: '3.0-2', hosts: 1 };
    const stopped = facts(twoWaves('committed', 'planned'), { quarantined, acceptedWave: 1 });
    expect(decideRun(stopped, t0 + 60_000)).toEqual([
      { type: 'decide', code: 'quarantine_paused', values: quarantined },
      { type: 'transition', from: 'running', to: 'paused' },
    ]);
    // Hosts that have begun go on.
    expect(decideRun(facts(twoWaves('verifying', 'verifying'), { quarantined }), t0)).toEqual([]);
  });

  it('asks again soon for a host that waits for its group, and does not announce its wave a second time', () => {
    const waiting = { ...member('c', 2, 'planned'), held: true };
    const held = facts([member('a', 1, 'committed'), waiting]);
    expect(decideRun(held, t0 + 60_000)).toEqual([{ type: 'startWave', wave: 2, hostRunIds: ['c'] }]);
    expect(runDeadline(held, t0 + 60_000)).toBe(t0 + 62_000);
    expect(runDeadline(held, t0 + 2_999_000)).toBe(t0 + 3_000_000);
  });

  it('misses what has not started when the window is over', () => {
    const effects = decideRun(facts(twoWaves('verifying', 'planned')), t0 + 3_000_000);
    expect(effects.at(-1)).toEqual({ type: 'miss', hostRunIds: ['c'] });
  });

  it.each([
    ['running', 'committed', 'committed', 'completed'],
    ['running', 'committed', 'rolled_back', 'completed_with_failures'],
    ['paused', 'committed', 'missed', 'completed_with_failures'],
    ['stopping', 'cancelled', 'committed', 'cancelled'],
    ['scheduled', 'missed', 'missed', 'expired'],
  ] as const)('that is %s with hosts %s and %s ends as %s', (...[state, first, second, end]) => {
    expect(decideRun(facts(twoWaves(first, second), { state }), t0)).toEqual([
      { type: 'transition', from: state, to: end },
    ]);
  });

  it('has a deadline or waits for a host or a person, whatever its hosts do', () => {
    const anyMember = fc.record({
      wave: fc.integer({ min: 1, max: 3 }),
      state: fc.constantFrom(...hostRunStates),
    });
    const anyState = fc.constantFrom(
      'scheduled' as const,
      'running' as const,
      'paused' as const,
      'stopping' as const,
    );
    fc.assert(
      fc.property(fc.array(anyMember, { minLength: 1, maxLength: 8 }), anyState, (some, state) => {
        const members = some.map((one, index) => member(String(index), one.wave, one.state));
        const run = facts(members, { state });
        const effects = decideRun(run, t0);
        const started = effects.flatMap((effect) => (effect.type === 'startWave' ? effect.hostRunIds : []));
        const underWay = members.filter(
          (one) => one.state !== 'planned' && !terminalHostRunStates.includes(one.state),
        );
        const waves = new Set(members.filter(({ id }) => started.includes(id)).map(({ wave }) => wave));
        expect(waves.size).toBeLessThanOrEqual(1);
        for (const busy of underWay) for (const wave of waves) expect(busy.wave).toBeGreaterThanOrEqual(wave);
        const waitsForTime = runDeadline(run, t0) !== null;
        expect(effects.length > 0 || waitsForTime || underWay.length > 0).toBe(true);
      }),
    );
  });
});

describe('a run in a freeze', () => {
  const frozen = { freezeId: 'f1', name: 'Clôture', endMs: t0 + 1_200_000 };

  it('does not start, says once why, and looks again before the freeze ends', () => {
    const waiting = facts(twoWaves('planned', 'planned'), { state: 'scheduled', frozen });
    expect(decideRun(waiting, t0)).toEqual([
      {
        type: 'decide',
        code: 'frozen',
        values: { freeze: 'Clôture', freezeId: 'f1', until: '2026-11-21T20:20:00.000Z', hosts: 3 },
      },
    ]);
    const said = { ...waiting, saidFreezeId: 'f1' };
    expect(decideRun(said, t0)).toEqual([]);
    expect(runDeadline(said, t0)).toBe(t0 + 30_000);
    expect(runDeadline(said, frozen.endMs - 1000)).toBe(frozen.endMs);
    expect(decideRun({ ...said, frozen: null }, frozen.endMs).at(-1)).toMatchObject({ type: 'startWave' });
  });

  it('starts no further wave, and lets the hosts that are under way go on', () => {
    const between = facts(twoWaves('committed', 'planned'), { frozen });
    expect(decideRun(between, t0 + 60_000).map(({ type }) => type)).toEqual(['decide']);
    const underWay = facts(twoWaves('installing', 'planned'), { frozen });
    expect(decideRun(underWay, t0 + 60_000)).toEqual([]);
  });

  it('is missed, and the freeze is named, when the last start lies in it', () => {
    const missed = facts(twoWaves('planned', 'planned'), {
      state: 'scheduled',
      frozen: { ...frozen, endMs: t0 + 9_000_000 },
      saidFreezeId: 'f1',
    });
    expect(runDeadline(missed, t0 + 2_990_000)).toBe(t0 + 3_000_000);
    expect(decideRun(missed, t0 + 3_000_000)).toEqual([
      { type: 'decide', code: 'missed_frozen', values: { hosts: 3, freeze: 'Clôture' } },
      { type: 'miss', hostRunIds: ['a', 'b', 'c'] },
    ]);
  });
});

describe('a wave', () => {
  it('says when it will start while the pause runs', () => {
    const members = [member('c', 2, 'planned')];
    const view = describeWave({ wave: 2, members, pauseS: 60, readyAtMs: t0, held: false }, t0 + 1000);
    expect(view).toEqual({ state: 'pausing', startsAtMs: t0 + 60_000 });
  });

  it('is stopped, not waiting, while the run is paused', () => {
    const members = [member('c', 2, 'planned')];
    expect(describeWave({ wave: 2, members, pauseS: 60, readyAtMs: t0, held: true }, t0).state).toBe(
      'stopped',
    );
  });

  it('makes every transition of the table, or a person does, and no other', () => {
    const ways = new Set<string>();
    const hosts = ['planned', 'committed', 'failed'] as const;
    const all = runStates.flatMap((state) =>
      hosts.flatMap((first) =>
        hosts.flatMap((second) => [true, false].map((locked) => ({ state, first, second, locked }))),
      ),
    );
    for (const { first, second, ...change } of all) {
      const effects = decideRun(facts(twoWaves(first, second), change), t0 + 90_000);
      for (const effect of effects)
        if (effect.type === 'transition') ways.add(`${effect.from} > ${effect.to}`);
    }
    for (const action of ['pause', 'resume', 'cancel'] as const)
      for (const from of runActions[action]) ways.add(`${from} > ${runActionMoves[action].to}`);
    // A retry opens an ended run again; the service asks the table for it.
    ways.add('completed_with_failures > running');
    const listed = runStates.flatMap((from) =>
      Object.keys(runTransitions[from]).map((to) => `${from} > ${to}`),
    );
    expect([...ways].sort()).toEqual(listed.sort());
  });
});
