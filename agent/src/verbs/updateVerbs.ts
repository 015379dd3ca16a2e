import path from 'node:path';
import type { PackagesArgs } from '#contract/verbs.ts';
import type { ResultFacts } from '#contract/results.ts';
import { readFreeBytes } from '../guard/btrfs.ts';
import type { HostRunRecord } from '../guard/hostRunStore.ts';
import type { InstalledChange } from '../host/packages.port.ts';
import { cannotTell, fail, probeNatural, succeed } from '../runner/verb.ts';
import type { ProbeContext, VerbActions, VerbContext, VerbOutcome } from '../runner/verb.ts';
import type { VerbDeps } from './verbDeps.ts';

const noProvider = () => fail('unsupported', 'this host has no package manager that the agent knows');

function workOf(context: VerbContext | ProbeContext, deps: VerbDeps): string {
  return path.join(deps.state.work, context.command.commandId);
}

/** Looks at the host without touching it: space, package manager, pending restart. */
export function createPreflightVerb(deps: VerbDeps): VerbActions {
  return {
    async run({ args }) {
      const { minFreeBytes } = args as { minFreeBytes: number };
      const freeBytes = await readFreeBytes('/');
      const restart = await deps.readRestartSignals();
      const facts: ResultFacts = {
        freeBytes,
        restartRequired: restart.isRequired,
        restartReasons: [...restart.reasons],
      };
      const drained = await deps.drainage.read();
      if (drained !== null) {
        await deps.drainage.giveBack();
        return fail('still_drained', drained.failure ?? 'its work was taken away and is not back yet', facts);
      }
      if (freeBytes < minFreeBytes)
        return fail('no_space', `${freeBytes} bytes free, ${minFreeBytes} wanted`, facts);
      if (deps.provider === null) return noProvider();
      const fault = await deps.provider.checkReady();
      return fault === null ? succeed(facts) : fail(fault.code, fault.detail, facts);
    },
    probe: probeNatural,
  };
}

export function createDownloadVerb(deps: VerbDeps): VerbActions {
  return {
    async run(context) {
      if (deps.provider === null) return noProvider();
      const { packages } = context.args as PackagesArgs;
      const { fault, bytes } = await deps.provider.download({
        ...context,
        packages,
        workDirectory: workOf(context, deps),
      });
      if (fault !== null) return fail(fault.code, fault.detail, { downloadedBytes: bytes });
      return succeed({ downloadedBytes: bytes }, bytes === 0 ? 'nothing_to_do' : 'ok');
    },
    probe: probeNatural,
  };
}

async function factsAfter(changes: readonly InstalledChange[], deps: VerbDeps): Promise<ResultFacts> {
  await deps.noteReplaced(changes.map((change) => change.name));
  const restart = await deps.readRestartSignals();
  return {
    installed: [...changes],
    restartRequired: restart.isRequired,
    restartReasons: [...restart.reasons],
    servicesToRestart: [...restart.services],
  };
}

/** The deadline is on the disk before the first file changes. */
async function armGuardian(run: HostRunRecord, deps: VerbDeps): Promise<void> {
  if (run.tier !== 'btrfs' || run.snapshotPath === null) return;
  await deps.guardian.arm({
    hostRunId: run.hostRunId,
    releaseId: run.releaseId,
    snapshotPath: run.snapshotPath,
    deadlineMs: Date.now() + run.confirmWithinS * 1000,
    silentDeadlineMs: null,
  });
}

async function install(context: VerbContext, deps: VerbDeps): Promise<VerbOutcome> {
  if (deps.provider === null) return noProvider();
  const { packages } = context.args as PackagesArgs;
  const run = await deps.runs.get(context.command.hostRunId ?? '');
  if (run === null) return fail('guard_missing', 'no guard is recorded for this host run');
  await armGuardian(run, deps);
  await deps.runs.update(run.hostRunId, { installedAtMs: Date.now() });
  const { fault, changes } = await deps.provider.install({
    ...context,
    packages,
    workDirectory: workOf(context, deps),
  });
  const facts = await factsAfter(changes, deps);
  if (fault?.code === 'timed_out') return cannotTell('timed_out', fault.detail, facts);
  // Nothing was changed, so there is nothing to confirm or to turn back.
  if (fault !== null && changes.length === 0 && fault.code !== 'package_failed' && run.tier === 'btrfs')
    await deps.guardian.disarm();
  if (fault !== null) return fail(fault.code, fault.detail, facts);
  return succeed(facts, changes.length === 0 ? 'nothing_to_do' : 'ok');
}

async function probeInstall(context: ProbeContext, deps: VerbDeps): Promise<VerbOutcome> {
  if (deps.provider === null) return noProvider();
  const { packages } = context.args as PackagesArgs;
  const state = await deps.provider.inspectInstall({
    ...context,
    packages,
    workDirectory: workOf(context, deps),
  });
  const versions = await deps.provider.installedVersions(packages);
  const changes = packages.flatMap((one) => {
    const to = versions.get(`${one.name}:${one.arch}`) ?? null;
    return to === one.version ? [{ name: one.name, from: one.fromVersion, to }] : [];
  });
  const facts = await factsAfter(changes, deps);
  if (state === 'all') return succeed(facts, 'ok', 'found in place after the agent had ended');
  if (state === 'none') return fail('crashed', 'the agent ended before anything was installed', facts);
  if (state === 'interrupted') return fail('dpkg_interrupted', 'the package manager was cut short', facts);
  return cannotTell('crashed', `${changes.length} of ${packages.length} packages are in place`, facts);
}

export function createInstallVerb(deps: VerbDeps): VerbActions {
  return { run: (context) => install(context, deps), probe: (context) => probeInstall(context, deps) };
}
