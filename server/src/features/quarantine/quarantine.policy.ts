import { percentFromTries, type QuarantineRule } from '#contract/quarantine.ts';

/** What is known of the installations of one update since its last quarantine was lifted. */
export interface Tries {
  readonly tries: number;
  readonly failedTries: number;
  /** Different hosts among the failed ones. */
  readonly failedHosts: number;
}

/** True when an update must not be installed any more: enough hosts, or enough of its tries. Pure. */
export function mustQuarantine({ tries, failedTries, failedHosts }: Tries, rule: QuarantineRule): boolean {
  if (failedTries === 0) return false;
  if (failedHosts >= rule.hosts) return true;
  return tries >= percentFromTries && failedTries * 100 >= rule.percent * tries;
}
