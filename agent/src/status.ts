import { loadIdentity } from './enrol/identity.ts';
import { Guardian } from './guard/guardian.ts';
import { surveyGuard } from './guard/guardTier.ts';
import { runCommand } from './host/command.ts';
import { Journal } from './journal/journal.ts';
import { locateState } from './state/stateDirectory.ts';
import { VersionFolders } from './selfupdate/versionFolders.ts';
import { agentVersion } from './version.ts';
import { readFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Reads the journal from a copy: the running agent owns the file. */
async function readJournal(file: string) {
  const directory = await mkdtemp(path.join(tmpdir(), 'atlas-agent-status-'));
  try {
    const copy = path.join(directory, 'journal');
    await writeFile(copy, await readFile(file).catch(() => Buffer.alloc(0)), { mode: 0o600 });
    const journal = await Journal.open(copy, Date.now());
    const { index, head } = journal;
    await journal.close();
    return { head, lastSeq: index.lastSeq, heldUpTo: index.heldUpTo, open: index.open().length };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** What `atlas-agent status` tells, for people and programs. */
export async function readStatus(stateRoot: string) {
  const state = locateState(stateRoot);
  const identity = await loadIdentity(state.identity);
  const service = await runCommand('systemctl', ['is-active', 'atlas-agent.service'], { timeoutMs: 10_000 });
  const armed = await new Guardian(state.root).readArmed();
  return {
    version: agentVersion,
    enrolled: identity !== null,
    service: service.stdout.trim() || 'unknown',
    identity: identity?.record ?? null,
    policyEpoch: identity?.policy.epoch ?? null,
    certificateUntil:
      identity?.certificate == null ? null : new Date(identity.certificate.validTo).toISOString(),
    build: await new VersionFolders(state.versions).read(),
    guard: await surveyGuard(state.root),
    guardArmedUntil: armed === null ? null : new Date(armed.deadlineMs).toISOString(),
    journal: await readJournal(state.journal),
  };
}
