/** Hosts chosen in the fleet's list, handed to the plan builder: thousands of ids do not fit in an address. */
class PlanDraft {
  hostIds = $state.raw<readonly string[]>([]);

  begin(hostIds: readonly string[]): void {
    this.hostIds = hostIds;
  }
}

export const planDraft = new PlanDraft();
