import { stat } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { enrol } from './enrol/enrol.ts';
import { EnrolError } from './enrol/enrol.errors.ts';
import { messages } from './enrol/enrol.messages.ts';
import type { Language } from './enrol/enrol.messages.ts';
import { loadIdentity } from './enrol/identity.ts';
import { runCommand } from './host/command.ts';
import { log } from './log.ts';
import { Agent } from './runner/agent.ts';
import { workUntilEnd } from './runner/workUntilEnd.ts';
import { putJournalAside } from './state/putJournalAside.ts';
import { defaultStateRoot, locateState, prepareState } from './state/stateDirectory.ts';
import { readStatus } from './status.ts';
import { agentVersion } from './version.ts';
import { serveVisits } from './visit/serve.ts';
import { visit } from './visit/visit.ts';
import { isVisitedOnly, unmarkVisited } from './visit/visitedMark.ts';

/** Exit codes: 0 done, 1 refused or failed, 64 wrong usage, 78 not enrolled. */
const exit = { ok: 0, failed: 1, usage: 64, notEnrolled: 78 } as const;

interface Settings {
  readonly stateRoot: string;
  readonly language: Language;
  readonly again: boolean;
  readonly json: boolean;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function chooseLanguage(asked: string | undefined): Language {
  const text = asked ?? process.env['LC_ALL'] ?? process.env['LC_MESSAGES'] ?? process.env['LANG'] ?? '';
  return text.toLowerCase().startsWith('en') ? 'en' : 'fr';
}

async function runEnrol(token: string, settings: Settings): Promise<number> {
  const words = messages[settings.language];
  try {
    if (process.getuid?.() !== 0) throw new EnrolError('not_root', '');
    const state = locateState(settings.stateRoot);
    await prepareState(state);
    const before = await loadIdentity(state.identity);
    const outcome = await enrol(token, {
      identityDirectory: state.identity,
      again: settings.again,
      onStep: (step) => say(words.steps[step as keyof typeof words.steps]),
    });
    if (before !== null) await putJournalAside(state);
    // A host that enrols has an agent of its own again: it drives the engine, not SSH.
    await unmarkVisited(settings.stateRoot);
    const isInstalled =
      settings.stateRoot === defaultStateRoot && (await stat('/run/systemd/system').catch(() => null));
    if (isInstalled) await runCommand('systemctl', ['restart', 'atlas-agent.service'], { timeoutMs: 60_000 });
    if (settings.json) say(JSON.stringify(outcome));
    else
      say(
        `${words.enrolled}\n  tenant ${outcome.tenantId}\n  host   ${outcome.hostId}\n  agent  ${outcome.agentId}`,
      );
    return exit.ok;
  } catch (error) {
    if (!(error instanceof EnrolError)) throw error;
    process.stderr.write(`${words.errors[error.code]}\n  ${error.code}: ${error.message}\n`);
    return exit.failed;
  }
}

function toldToStop(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
}

async function runAgent(settings: Settings): Promise<number> {
  const state = locateState(settings.stateRoot);
  if ((await loadIdentity(state.identity)) === null) {
    process.stderr.write(`${messages[settings.language].notEnrolled}\n`);
    return exit.notEnrolled;
  }
  if (await isVisitedOnly(settings.stateRoot)) {
    process.stderr.write(`${messages[settings.language].visitedOnly}\n`);
    return exit.notEnrolled;
  }
  const agent = await Agent.open(settings.stateRoot);
  log('agent.started', { version: agentVersion });
  return (await workUntilEnd(agent)) === 'stopped' ? exit.ok : exit.failed;
}

async function runStatus(settings: Settings): Promise<number> {
  const status = await readStatus(settings.stateRoot);
  if (settings.json) {
    say(JSON.stringify(status));
    return exit.ok;
  }
  const { build, identity, guard, journal } = status;
  const rows: [string, string][] = [
    ['version', status.version],
    ['in force', `${build.version}${build.isProven ? '' : ', on trial'} (before: ${build.previous})`],
    ...(build.left === null
      ? []
      : [['left', `${build.left.version}: ${build.left.why}`] as [string, string]]),
    ['service', status.service],
    ['tenant', identity?.tenantId ?? '-'],
    ['host', identity?.hostId ?? '-'],
    ['agent', identity?.agentId ?? '-'],
    ['server', identity?.agentsUrl ?? '-'],
    ['certificate', `${status.certificateUntil ?? '-'} (n° ${identity?.generation ?? '-'})`],
    ['policy', `epoch ${status.policyEpoch ?? '-'}`],
    ['guard', `${guard.tier}: ${guard.reason}`],
    ['armed until', status.guardArmedUntil ?? '-'],
    [
      'journal',
      `${journal.lastSeq} results, ${journal.heldUpTo} held, ${journal.open} open, head ${journal.head.slice(0, 16)}`,
    ],
  ];
  for (const [name, value] of rows) say(`${name.padEnd(12)} ${value}`);
  if (identity === null) say(messages[settings.language].notEnrolled);
  return exit.ok;
}

async function main(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      state: { type: 'string', default: defaultStateRoot },
      lang: { type: 'string' },
      again: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const settings: Settings = {
    stateRoot: values.state,
    language: chooseLanguage(values.lang),
    again: values.again,
    json: values.json,
  };
  const [command, token] = positionals;
  if (command === 'run') return runAgent(settings);
  if (command === 'visit') {
    say(JSON.stringify(await visit(settings.stateRoot, await text(process.stdin))));
    return exit.ok;
  }
  if (command === 'serve') {
    await serveVisits(settings.stateRoot, toldToStop());
    return exit.ok;
  }
  if (command === 'status') return runStatus(settings);
  if (command === 'enrol' && token !== undefined) return runEnrol(token, settings);
  if (command === 'version') {
    say(agentVersion);
    return exit.ok;
  }
  say(messages[settings.language].usage);
  return values.help ? exit.ok : exit.usage;
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(exit.failed);
  },
);
