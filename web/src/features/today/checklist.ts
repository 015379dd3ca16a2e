/** What exists already, counted from the server. */
interface Found {
  readonly sites: number;
  readonly approverKeys: number;
  readonly neededKeys: number;
  readonly epoch: number;
  readonly hosts: number;
  readonly policies: number;
  readonly plans: number;
  readonly runs: number;
}

export interface ChecklistStep {
  readonly id: 'site' | 'approvers' | 'document' | 'host' | 'policy' | 'plan';
  readonly done: boolean;
  readonly have: number;
  readonly needed: number;
}

/** The way from an empty client to a first run; each step is done because the thing exists, not because somebody ticked it. */
export function checklist(found: Found): ChecklistStep[] {
  const step = (id: ChecklistStep['id'], have: number, needed = 1): ChecklistStep => ({
    id,
    done: have >= needed,
    have,
    needed,
  });
  return [
    step('site', found.sites),
    step('document', found.epoch),
    step('approvers', found.approverKeys, found.neededKeys),
    step('host', found.hosts),
    step('policy', found.policies),
    step('plan', Math.max(found.plans, found.runs)),
  ];
}
