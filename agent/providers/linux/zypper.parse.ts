/** One row of `zypper list-updates`. */
export interface ZypperUpdate {
  readonly repository: string;
  readonly name: string;
  readonly fromVersion: string;
  readonly version: string;
  readonly arch: string;
}

/** Reads the table of `zypper --non-interactive list-updates`; rows that were cut short are left out. */
export function parseZypperUpdates(text: string): ZypperUpdate[] {
  return text.split('\n').flatMap((line) => {
    const cells = line.split('|').map((cell) => cell.trim());
    const [status, repository, name, fromVersion, version, arch] = cells;
    if (status !== 'v' || cells.length !== 6) return [];
    if (!repository || !name || !fromVersion || !version || !arch) return [];
    return [{ repository, name, fromVersion, version, arch }];
  });
}

/** What an exit status of zypper asks for (its manual, section EXIT CODES). */
export function readZypperExit(
  code: number,
): 'ok' | 'updates' | 'restart' | 'again' | 'locked' | 'no_rights' | 'failed' {
  const meanings: Record<number, ReturnType<typeof readZypperExit>> = {
    0: 'ok',
    5: 'no_rights',
    7: 'locked',
    100: 'updates',
    101: 'updates',
    102: 'restart',
    103: 'again',
  };
  return meanings[code] ?? 'failed';
}
