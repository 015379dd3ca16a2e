import type { LiveEvent } from '#contract/tenants.ts';
import type { SystemTx } from '../../platform/db.ts';
import type { OutboxMessage, OutboxSubscriber } from '../../platform/outbox.ts';
import { appendEvents, takeNumbers, type EventDraft } from './events.repository.ts';

/** Topic of the outbox under which features say what has changed. */
export const eventTopic = 'event';

type Said = Pick<LiveEvent, 'type' | 'subjectId' | 'data'>;

/** Of several `*.changed` of one object in a flush the last one says it all; lines of a log are all kept. */
export function coalesce(events: readonly EventDraft[]): EventDraft[] {
  const lastOf = new Map<string, EventDraft>();
  for (const event of events)
    if (event.type.endsWith('.changed')) lastOf.set(`${event.type} ${event.subjectId}`, event);
  return events.filter(
    (event) => !event.type.endsWith('.changed') || lastOf.get(`${event.type} ${event.subjectId}`) === event,
  );
}

function byTenant(messages: readonly OutboxMessage[]): Map<string, EventDraft[]> {
  const tenants = new Map<string, EventDraft[]>();
  for (const { tenantId, payload, createdAt } of messages) {
    const { type, subjectId, data } = payload as unknown as Said;
    const events = tenants.get(tenantId) ?? [];
    events.push({ type, subjectId, data, at: createdAt });
    tenants.set(tenantId, events);
  }
  return tenants;
}

/**
 * The one writer of the sequences: it runs inside the relay, which is alone, in the transaction that empties the outbox.
 * So numbers have no gap, no double, and become visible in their order.
 */
export function createSequencer(sequenced: (tenantIds: readonly string[]) => void): OutboxSubscriber {
  let touched: string[] = [];
  return {
    name: 'events',
    hears: (topic) => topic === eventTopic,
    record: async (tx: SystemTx, messages) => {
      const tenants = byTenant(messages);
      const kept = [...tenants].map(([tenantId, all]) => ({ tenantId, events: coalesce(all) }));
      const last = await takeNumbers(
        tx,
        kept.map(({ tenantId, events }) => ({ tenantId, count: events.length })),
      );
      const numbered = kept.flatMap(({ tenantId, events }) => {
        const before = (last.get(tenantId) ?? 0) - events.length;
        return events.map((event, index) => ({ ...event, tenantId, seq: before + 1 + index }));
      });
      await appendEvents(tx, numbered);
      touched = [...tenants.keys()];
    },
    afterwards: () => sequenced(touched),
  };
}
