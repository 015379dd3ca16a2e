import type { Text } from '../stack/text.ts';

/** What the server says of its database under `/readyz`, when that has several addresses. */
export interface DatabaseHealth {
  readonly standbys: number;
  readonly following: number;
  /** Bytes of the write-ahead log that the standby which is farthest behind has not flushed. */
  readonly behindBytes: number;
  readonly warnings: readonly string[];
}

const words: Record<string, Text> = {
  no_primary: ['aucune base n’accepte d’écriture', 'no database accepts writes'],
  primary_refused: [
    'un ancien primaire est revenu et il est refusé : refaites-en un secours',
    'a former primary came back and is refused: make it a standby again',
  ],
  standby_missing: ['un secours manque ou ne suit pas', 'a standby is missing or does not follow'],
  standby_behind: ['un secours est loin derrière', 'a standby is far behind'],
  replication_asynchronous: [
    'les écritures n’attendent pas le secours (synchronous_standby_names)',
    'commits do not wait for the standby (synchronous_standby_names)',
  ],
};

/** Null when the server does not answer, or has one database only. */
export async function readDatabaseHealth(publicUrl: string): Promise<DatabaseHealth | null> {
  try {
    const answer = await fetch(`${publicUrl}/readyz`, { signal: AbortSignal.timeout(3_000) });
    const { database } = (await answer.json()) as { database?: DatabaseHealth };
    return database ?? null;
  } catch {
    // Whether the server answers at all is said elsewhere.
    return null;
  }
}

/** One line for a person. */
export function describeDatabaseHealth({ standbys, following, behindBytes, warnings }: DatabaseHealth): Text {
  const inKiB = Math.ceil(behindBytes / 1024);
  const worries = warnings.map((code): Text => words[code] ?? [code, code]);
  return [
    [
      `secours qui suivent : ${following}/${standbys}, ${inKiB} Kio de retard`,
      ...worries.map(([fr]) => fr),
    ].join(' · '),
    [
      `standbys that follow: ${following}/${standbys}, ${inKiB} KiB behind`,
      ...worries.map(([, en]) => en),
    ].join(' · '),
  ];
}
