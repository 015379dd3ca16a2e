/** What one address of the database has just said of itself. Positions are bytes of the write-ahead log. */
export type Sight =
  | { readonly kind: 'away'; readonly why: string }
  | {
      readonly kind: 'primary';
      readonly systemId: string;
      readonly timeline: number;
      readonly position: number;
      /** A commit is answered only when a standby has it on its disk, too. */
      readonly isSynchronous: boolean;
    }
  | {
      readonly kind: 'standby';
      readonly systemId: string;
      readonly received: number;
      readonly replayed: number;
      /** Its receiver has a connection to some primary. */
      readonly isStreaming: boolean;
    };

/** The newest database that has been written to: which cluster, and its timeline, which grows with each promotion. */
export interface SeenTimeline {
  readonly systemId: string;
  readonly timeline: number;
}

export interface Choice {
  /** Place of the address that is written to; null: none may be. */
  readonly index: number | null;
  /** Addresses that accept writes and must not get any, with the reason in words. */
  readonly refused: ReadonlyMap<number, string>;
}

type PrimarySight = Extract<Sight, { kind: 'primary' }>;

/** All addresses, read in the order of the setting. `current`: the one that is written to until now. */
interface Question {
  readonly sights: readonly Sight[];
  readonly seen: SeenTimeline | null;
  readonly current: number | null;
}

function refusalOf(sight: PrimarySight, seen: SeenTimeline | null): string | null {
  if (seen === null) return null;
  if (sight.systemId !== seen.systemId)
    return 'it is another database than the one that was written to before';
  if (sight.timeline < seen.timeline)
    return `it is a former primary that came back: timeline ${sight.timeline}, while ${seen.timeline} has been written to`;
  return null;
}

/**
 * Chooses the one database that may be written to: a primary of the known cluster on the highest timeline ever seen.
 * Two that claim the same are told apart only by what is in use already; with nothing in use, nobody is believed.
 */
export function choosePrimary({ sights, seen, current }: Question): Choice {
  const refused = new Map<number, string>();
  const fit: { readonly index: number; readonly sight: PrimarySight }[] = [];
  for (const [index, sight] of sights.entries()) {
    if (sight.kind !== 'primary') continue;
    const why = refusalOf(sight, seen);
    if (why === null) fit.push({ index, sight });
    else refused.set(index, why);
  }
  const highest = Math.max(0, ...fit.map(({ sight }) => sight.timeline));
  const clusters = new Set(fit.map(({ sight }) => sight.systemId));
  const newest = fit.filter(({ sight }) => sight.timeline === highest);
  const own = newest.find(({ index }) => index === current);
  const chosen = clusters.size > 1 ? undefined : (own ?? (newest.length === 1 ? newest[0] : undefined));
  for (const { index, sight } of fit) {
    if (index === chosen?.index) continue;
    const why =
      sight.timeline < highest
        ? `it is a former primary: timeline ${sight.timeline}, while another is on ${highest}`
        : 'another address accepts writes as well, and nothing tells which one is right';
    refused.set(index, why);
  }
  return { index: chosen?.index ?? null, refused };
}

/** What people must know of the database. */
export type DatabaseWarning =
  'no_primary' | 'standby_missing' | 'standby_behind' | 'replication_asynchronous' | 'primary_refused';

/** How one address stands. */
export interface AddressReport {
  /** Host and port. */
  readonly address: string;
  readonly role: 'serves' | 'follows' | 'stands_apart' | 'refused' | 'away';
  /** Bytes of the write-ahead log that the standby has not flushed yet; null for everything else. */
  readonly behindBytes: number | null;
  /** In words, for what neither serves nor follows. */
  readonly why: string | null;
}

export interface DatabaseReport {
  readonly addresses: readonly AddressReport[];
  readonly warnings: readonly DatabaseWarning[];
}

/** More than a standby lags behind under any load that we know: about ten seconds of a busy fleet. */
const farBehindBytes = 16 * 1_048_576;

function reportOf(sight: Sight, primary: PrimarySight | null): Omit<AddressReport, 'address'> {
  if (sight.kind === 'away') return { role: 'away', behindBytes: null, why: sight.why };
  if (sight.kind === 'primary') return { role: 'serves', behindBytes: null, why: null };
  if (primary !== null && sight.systemId !== primary.systemId)
    return { role: 'stands_apart', behindBytes: null, why: 'it is a standby of another database' };
  if (!sight.isStreaming)
    return { role: 'stands_apart', behindBytes: null, why: 'it receives nothing from a primary' };
  // Both are read at nearly the same time; what came in between is not a lag.
  const behindBytes = primary === null ? 0 : Math.max(0, primary.position - sight.received);
  return { role: 'follows', behindBytes, why: null };
}

/** Says how every address stands, and what is wrong with it. */
export function describeDatabase(
  names: readonly string[],
  sights: readonly Sight[],
  choice: Choice,
): DatabaseReport {
  const chosen = choice.index === null ? undefined : sights[choice.index];
  const primary = chosen?.kind === 'primary' ? chosen : null;
  const addresses = names.map((address, index): AddressReport => {
    const why = choice.refused.get(index);
    if (why !== undefined) return { address, role: 'refused', behindBytes: null, why };
    const sight = sights[index] ?? { kind: 'away', why: 'not looked at yet' };
    return { address, ...reportOf(sight, primary) };
  });
  const follows = addresses.filter(({ role }) => role === 'follows');
  const warnings: DatabaseWarning[] = [];
  if (primary === null) warnings.push('no_primary');
  if (choice.refused.size > 0) warnings.push('primary_refused');
  if (follows.length < addresses.length - 1) warnings.push('standby_missing');
  if (follows.some(({ behindBytes }) => (behindBytes ?? 0) > farBehindBytes)) warnings.push('standby_behind');
  if (addresses.length > 1 && primary?.isSynchronous === false) warnings.push('replication_asynchronous');
  return { addresses, warnings };
}
