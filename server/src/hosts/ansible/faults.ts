import type { SshFault } from '#contract/reach.ts';

/** What one task of a playbook came to, as `plugins/atlas_events.py` writes it. */
export interface JobEvent {
  readonly event: 'ok' | 'failed' | 'unreachable';
  readonly task: string;
  readonly facts: Readonly<Record<string, string | number>>;
}

/** Why a job did not do its work; `detail` is what ssh or the host printed, for people only. */
export interface JobFault {
  readonly fault: SshFault | 'engine_missing';
  readonly detail: string;
}

// Words that OpenSSH prints in every language: it has no translations.
const connectionWords: readonly [RegExp, SshFault][] = [
  [
    /Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED|no matching host key type/i,
    'wrong_host_key',
  ],
  [
    /Permission denied|Too many authentication failures|invalid format|error in libcrypto/i,
    'credential_refused',
  ],
];

function textOf(event: JobEvent): string {
  return ['msg', 'stderr', 'module_stderr', 'module_stdout', 'cmd_error']
    .map((name) => String(event.facts[name] ?? ''))
    .filter((text) => text !== '')
    .join('\n');
}

/** One paragraph of plain text: no control characters, nothing that pretends to be another line. */
export function asDetail(text: string, maxLength = 500): string {
  const plain = text.replace(/[\p{C}\s]+/gu, ' ').trim();
  return plain.length <= maxLength ? plain : `${plain.slice(0, maxLength - 1)}…`;
}

/** The fault of a connection, read from what ssh said. */
export function connectionFault(said: string): SshFault {
  return connectionWords.find(([words]) => words.test(said))?.[1] ?? 'unreachable';
}

/** Names the fault of the first event that is not ok; null when all are. */
export function faultOf(events: readonly JobEvent[]): JobFault | null {
  const bad = events.find(({ event }) => event !== 'ok');
  if (bad === undefined) return null;
  const said = textOf(bad);
  const detail = asDetail(said);
  if (bad.event === 'unreachable') return { fault: connectionFault(said), detail };
  if (/sudo:|Missing sudo password|not in the sudoers/i.test(said) || bad.task === 'root')
    return { fault: 'no_root', detail };
  if (
    bad.task === 'python' ||
    /\/usr\/bin\/python3: (No such file|not found)|python3: not found|ModuleNotFoundError: No module named/i.test(
      said,
    )
  )
    return { fault: 'no_python', detail };
  if (bad.task === 'visit' && bad.facts['rc'] === 127) return { fault: 'engine_missing', detail };
  return { fault: 'engine_failed', detail };
}
