/** Taken from one tenant before the next one has its turn. */
const tenantTurn = 100;

interface Waiting<T> {
  readonly item: T;
  readonly weight: number;
}

interface Line<T> {
  readonly waiting: Waiting<T>[];
  /** What this tenant may still take; negative after an item that was heavier than its turn. */
  credit: number;
  weight: number;
}

/**
 * A line a tenant, emptied in turns of equal weight (deficit round robin, RFC 8290 describes its kin), so that no tenant
 * waits behind another one's burst, nor behind its heavier items. Within a tenant the order of arrival stays.
 */
export class Turns<T> {
  readonly #lines = new Map<string, Line<T>>();
  /** Weight of everything that waits. */
  weight = 0;

  /** Weight of what waits for one tenant. */
  weightOf(tenantId: string): number {
    return this.#lines.get(tenantId)?.weight ?? 0;
  }

  push(tenantId: string, item: T, weight = 1): void {
    const line = this.#lines.get(tenantId) ?? { waiting: [], credit: 0, weight: 0 };
    this.#lines.set(tenantId, line);
    line.waiting.push({ item, weight });
    line.weight += weight;
    this.weight += weight;
  }

  /** Takes items of that weight together, or a little more: none is cut. */
  take(limit: number): T[] {
    const taken: T[] = [];
    let left = limit;
    while (left > 0 && this.#lines.size > 0) {
      for (const [tenantId, line] of this.#lines) {
        line.credit += tenantTurn;
        left -= this.#takeTurn(line, left, taken);
        // Behind the others for the next flush, so that the order of arrival of tenants decides nothing.
        this.#lines.delete(tenantId);
        if (line.waiting.length > 0) this.#lines.set(tenantId, line);
        if (left <= 0) break;
      }
    }
    return taken;
  }

  #takeTurn(line: Line<T>, limit: number, taken: T[]): number {
    let [count, weight] = [0, 0];
    for (const next of line.waiting) {
      if (line.credit <= 0 || weight >= limit) break;
      taken.push(next.item);
      line.credit -= next.weight;
      weight += next.weight;
      count += 1;
    }
    line.waiting.splice(0, count);
    line.weight -= weight;
    this.weight -= weight;
    return weight;
  }
}
