import type { PlantedBug } from './hooks.ts';

const runs = 'server/src/features/runs';
const commands = 'server/src/features/commands';
const journal = 'agent/src/journal';

/**
 * Mistakes that somebody could make tomorrow, each in one place of the product. The simulation must see every one of
 * them: a check that never finds anything proves nothing.
 */
export const plantedBugs: readonly PlantedBug[] = [
  {
    name: 'runs-again-when-delivered-again',
    harm: 'an installation runs twice',
    file: 'agent/src/runner/commandRunner.ts',
    find: 'this.#repeat(known, command);\n      return;',
    put: 'this.#repeat(known, command);',
  },
  {
    name: 'nothing-is-on-the-disk',
    harm: 'after a loss of power the host has forgotten what it was told and what it answered',
    file: `${journal}/appendFile.ts`,
    find: 'if (batch.some((one) => one.isDurable)) await this.#file.datasync();',
    put: '',
  },
  {
    name: 'open-counts-as-done',
    harm: 'a step that the agent did not live to the end of is called done',
    file: 'agent/src/runner/resumption.ts',
    find: "if (entry.state !== 'started' || intent === null || startedAt === null)\n    return fail('crashed', 'the agent ended before the step began; nothing was done');",
    put: "if (entry.state !== 'done' || intent === null || startedAt === null)\n    return { outcome: 'succeeded', code: 'ok', detail: '', facts: {} };",
  },
  {
    name: 'forgets-what-is-not-held',
    harm: 'results that the server does not hold are dropped by the host',
    file: `${journal}/journal.index.ts`,
    find: "this.#change(commandId, { state: 'done', result });",
    put: "this.#change(commandId, { state: 'done', result: result.seq % 3 === 0 ? null : result });",
  },
  {
    name: 'results-are-not-numbered-on',
    harm: 'two results have one number, and one of them is lost',
    file: `${journal}/journal.index.ts`,
    find: 'this.lastSeq = Math.max(this.lastSeq, result.seq);',
    put: 'this.lastSeq = result.seq === 3 ? 2 : result.seq;',
  },
  {
    name: 'results-are-not-sent-again',
    harm: 'what a host did while the server was away is never told',
    file: 'agent/src/runner/agent.ts',
    find: 'this.#outbox.deliver(index.resultsAfter(held));',
    put: '',
  },
  {
    name: 'guard-is-never-armed',
    harm: 'a cut-off host with a broken service stays broken',
    file: 'agent/src/verbs/updateVerbs.ts',
    find: '  await armGuardian(run, deps);\n  await deps.runs.update',
    put: '  await deps.runs.update',
  },
  {
    name: 'guard-comes-back-with-the-power',
    harm: 'a committed host is turned back after a loss of power',
    file: 'agent/src/guard/guardian.ts',
    find: '    await syncDirectory(path.dirname(this.#armed));\n',
    put: '',
  },
  {
    name: 'deadline-is-moved-after-the-commit',
    harm: 'the guard of a committed host is armed again by whoever had looked a moment before',
    file: 'agent/src/guard/guardian.ts',
    find: '    return this.#alone(async () => {\n      const armed = await this.readArmed();\n      if (armed?.hostRunId === hostRunId) await this.#write({ ...armed, silentDeadlineMs });\n    });',
    put: '    return (async () => {\n      const armed = await this.readArmed();\n      if (armed?.hostRunId === hostRunId) await this.#write({ ...armed, silentDeadlineMs });\n    })();',
  },
  {
    name: 'commit-leaves-the-guard-armed',
    harm: 'every committed host is turned back after its deadline',
    file: 'agent/src/verbs/guardVerbs.ts',
    find: 'if (!(await deps.guardian.disarm()))',
    put: 'if ((await deps.guardian.readFiring()) !== null)',
  },
  {
    name: 'same-boot-proves-a-restart',
    // The server compares the boots itself and turns such a host back; the log holds a signed untruth all the same.
    harm: 'a host that never restarted signs that it has',
    file: 'agent/src/verbs/restartVerb.ts',
    find: 'if (deps.bootId === context.intent.bootId)',
    put: "if (deps.bootId === '')",
  },
  {
    name: 'cut-short-counts-as-installed',
    // The checks after it find the old packages; the log holds a signed untruth all the same.
    harm: 'half an installation is signed as a whole one',
    file: 'agent/src/verbs/updateVerbs.ts',
    find: "if (state === 'all') return succeed(",
    put: "if (state !== 'none') return succeed(",
  },
  {
    name: 'acknowledged-before-it-is-durable',
    harm: 'a result is lost when the server dies at the wrong moment',
    file: `${commands}/commands.service.ts`,
    find: 'await this.#sequencer.append(fresh.map((one) => ({ ...one, ...agent, isVisited })));',
    put: 'void this.#sequencer.append(fresh.map((one) => ({ ...one, ...agent, isVisited }))).catch(() => undefined);',
  },
  {
    name: 'failed-commit-counts-as-durable',
    harm: 'commands and results vanish when the database refuses a commit',
    file: `${commands}/commands.sequencer.ts`,
    find: 'for (const waiter of [...readings, ...results]) waiter.reject(error);',
    put: 'for (const waiter of [...readings, ...results]) waiter.resolve();',
  },
  {
    name: 'host-is-never-given-back',
    harm: 'a host can be in no run any more',
    file: `${runs}/host-run.engine.ts`,
    find: 'if (ended && after.startedAtMs !== null) await fleet.setActiveRun(tx, row.hostId, null);',
    put: '',
  },
  {
    name: 'two-runs-share-a-host',
    harm: 'two runs change one host at the same time',
    file: `${runs}/host-run.engine.ts`,
    find: "return [{ type: 'occupied' }];",
    put: 'return events;',
  },
  {
    name: 'own-rollback-is-not-heard',
    // A host that is still in its run is asked to go back and says that it has: then it is called turned back by order.
    harm: 'nobody is told that a host turned itself back, and one that was given up stays called failed',
    file: `${runs}/host-run.engine.ts`,
    find: "if (result.verb !== 'guard.rollback' || (by !== 'agent' && by !== 'guardian')) return [];",
    put: 'if (by !== undefined || by === undefined) return [];',
  },
  {
    name: 'transitions-are-not-written-down',
    harm: 'the audit log does not tell how a host came to its end',
    file: `${runs}/host-run.engine.ts`,
    find: 'await audit.recordMany(tx, [...transitionEntries(row, effects), ...holdEntries(row, effects)]);',
    put: 'await audit.recordMany(tx, holdEntries(row, effects));',
  },
  {
    name: 'orders-are-not-given-again',
    harm: 'an order that was lost on its way is never repeated, and the host fails for it',
    file: `${runs}/host-run.engine.ts`,
    find: "const redeliver = folded.effects.some(({ type }) => type === 'redeliver') && after.open !== null;",
    put: 'const redeliver = false as boolean;',
  },
  {
    name: 'changed-host-is-called-unchanged',
    harm: 'a host is called untouched while it is being changed',
    file: `${runs}/host-run.moves.ts`,
    find: "setOutcomes(draft, { patch: 'unknown' });\n  order(draft, step);",
    put: "setOutcomes(draft, { patch: 'not_installed' });\n  order(draft, step);",
  },
  {
    name: 'changed-host-is-tried-again',
    harm: 'orders that were signed for another state of the host run again on a changed one',
    file: `${runs}/runs.service.ts`,
    find: "const untouched = outcomes.patch === 'not_started' || outcomes.patch === 'not_installed';",
    put: 'const untouched = outcomes.patch.length > 0;',
  },
  {
    name: 'next-wave-does-not-wait',
    harm: 'the second wave begins before anybody knows how the first one went',
    file: `${runs}/run.policy.ts`,
    find: 'if (open.length > 0) return { wave, members, startsAtMs };',
    put: "if (open.some(({ state }) => state === 'planned')) return { wave, members, startsAtMs };",
  },
  {
    name: 'stop-does-not-stop',
    harm: 'hosts are begun under the emergency stop',
    file: `${runs}/run.policy.ts`,
    find: '  if (facts.locked) {\n    return [',
    put: '  if (facts.locked && facts.members.length === 0) {\n    return [',
  },
  {
    name: 'undrain-is-forgotten-when-a-run-ends',
    harm: 'a host whose run was stopped serves nobody any more',
    file: `${runs}/host-run.moves.ts`,
    find: "  if (draft.run.drain === 'out' && draft.run.state !== 'agent_lost') {",
    put: "  patch(draft, { drain: null });\n  if (draft.run.drain === 'out') {",
  },
  {
    name: 'undrain-is-forgotten-before-the-checks',
    harm: 'checks find the services stopped, and a good update is turned back',
    file: `${runs}/host-run.moves.ts`,
    find: "order(draft, draft.run.drain === 'out' ? 'undrain' : 'verify');",
    put: "order(draft, 'verify');",
  },
  {
    name: 'drained-end-is-not-told',
    harm: 'a host that was given up may serve nobody, and people are not told',
    file: `${runs}/host-run.moves.ts`,
    find: "  if (isTerminal(to) && isDrained(draft.run)) note(draft, 'undrain_failed', { state: from });",
    put: '',
  },
  {
    name: 'undrain-is-signed-and-not-done',
    harm: 'a host signs that it is back in service, and is not',
    file: 'agent/src/verbs/drainVerbs.ts',
    find: '  const fault = await deps.drainage.undrain();',
    put: '  const fault = null as string | null;',
  },
  {
    name: 'window-has-no-end',
    harm: 'a host is changed after its window',
    file: `${runs}/host-run.moves.ts`,
    find: "if (stop === 'window_over' || draft.nowMs >= windowEnd(draft.run)) {",
    put: "if (stop === 'window_over') {",
  },
  {
    name: 'sealer-passes-late-entries',
    harm: 'an entry of the audit log never gets its place in the sealed tree',
    file: 'server/src/platform/audit/sealer.ts',
    find: 'this.#cursor = isWhole || last === undefined ? firstCursor : last;',
    put: 'this.#cursor = last ?? this.#cursor;',
  },
];
