/** Identifiers of commands as four books have them, each kept by somebody else. Order means nothing, repetition does. */
export interface Books {
  /** Those that the server has said to be durable. */
  readonly accepted: readonly string[];
  /** Those that the database holds. */
  readonly stored: readonly string[];
  /** Effects, as the agents have counted them. */
  readonly effects: readonly string[];
  /** Results, as they stand in the signed frames that the database holds. */
  readonly results: readonly string[];
  /** Commands and results that entries of the audit log speak of. */
  readonly audited: { readonly commands: number; readonly results: number };
}

export interface Reckoning {
  readonly accepted: number;
  /** Accepted commands that lack their row, their effect or their result. */
  readonly lost: number;
  /** Commands with more than one effect or more than one stored result. */
  readonly doubled: number;
  /** What does not add up, in words; empty when everything does. */
  readonly faults: readonly string[];
}

function countOf(ids: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}

/** Compares the books: every accepted command once in each, nothing else in any. */
export function reckon({ accepted, stored, effects, results, audited }: Books): Reckoning {
  const faults: string[] = [];
  const complain = (number: number, words: string): void => {
    if (number > 0) faults.push(`${number} ${words}`);
  };
  const wanted = countOf(accepted);
  complain(accepted.length - wanted.size, 'commands were accepted under an identifier already given');
  const lost = new Set<string>();
  const doubled = new Set<string>();
  const compare = (what: string, ids: readonly string[]): void => {
    const counts = countOf(ids);
    const absent = [...wanted.keys()].filter((id) => !counts.has(id));
    const repeated = [...counts].flatMap(([id, count]) => (count > 1 ? id : []));
    const strange = [...counts.keys()].filter((id) => !wanted.has(id));
    complain(absent.length, `accepted commands have no ${what}`);
    complain(repeated.length, `commands have more than one ${what}`);
    complain(strange.length, `commands have a ${what} and were never accepted`);
    for (const id of absent) lost.add(id);
    for (const id of repeated) doubled.add(id);
  };
  compare('row', stored);
  compare('effect', effects);
  compare('result', results);
  for (const what of ['commands', 'results'] as const) {
    if (audited[what] !== accepted.length)
      faults.push(`the audit log speaks of ${audited[what]} ${what}, ${accepted.length} were accepted`);
  }
  return { accepted: accepted.length, lost: lost.size, doubled: doubled.size, faults };
}
