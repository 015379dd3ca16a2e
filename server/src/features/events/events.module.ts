// Owns what is said to screens: one gapless sequence of events per tenant, and the sockets that tell it.
// Promises: an event is told after its commit, in order, and whoever was away resumes from the last number seen.
// Never: decides anything from an event, or keeps one that only Redis knows.
import type { FastifyInstance } from 'fastify';
import type { LiveEvent, tenantRoutes } from '#contract/tenants.ts';
import type { AuditWriter } from '../../platform/audit/auditWriter.ts';
import { toInstant, type Clock } from '../../platform/clock.ts';
import type { Db, SystemTx, TenantTx } from '../../platform/db.ts';
import { actorOf, type Caller } from '../../platform/http/caller.ts';
import type { RouteHandlers } from '../../platform/http/handlers.ts';
import type { Logger } from '../../platform/log.ts';
import type { Outbox, OutboxDraft } from '../../platform/outbox.ts';
import type { Redis } from '../../platform/redis.ts';
import type { JsonObject } from '../../platform/schema.gen.ts';
import { EventHub } from './events.hub.ts';
import { lastSeq, listEvents, removeOldEvents } from './events.repository.ts';
import { createSequencer, eventTopic } from './events.sequencer.ts';
import { liveSocket } from './events.socket.ts';
import { createTicket, ticketLifeS } from './events.tickets.ts';

export interface EventsDeps {
  readonly db: Db;
  readonly audit: AuditWriter;
  readonly clock: Clock;
  readonly log: Logger;
  readonly outbox: Outbox;
  readonly redis: Redis;
  /** A connection of its own, which only listens. */
  readonly listener: Redis;
  readonly publicUrl: string;
  readonly belongs: (who: Pick<Caller, 'kind' | 'id'>, tenantId: string) => Promise<boolean>;
}

type EventDraft = Pick<LiveEvent, 'type' | 'subjectId' | 'data'>;

export interface EventsModule {
  /** Says that something changed, in the caller's transaction; screens hear it after the commit. */
  readonly emit: (tx: TenantTx, event: EventDraft) => Promise<void>;
  /** Events of several tenants, from a platform job. */
  readonly emitAll: (
    tx: SystemTx,
    events: readonly (EventDraft & { readonly tenantId: string })[],
  ) => Promise<void>;
  readonly routes: RouteHandlers<typeof tenantRoutes, 'createLiveTicket' | 'listEvents'>;
  /** Adds the WebSocket. */
  readonly extend: (app: FastifyInstance) => Promise<void>;
  readonly start: () => void;
  readonly stop: () => void;
  /** Housekeeping, once an hour: events older than a week are gone; who resumes from before them reads the screens anew. */
  readonly removeOldEvents: () => Promise<void>;
}

const channel = 'atlas:events';
const retentionMs = 7 * 86_400_000;
// Wake-ups come by Redis; without it screens are this late.
const pollMs = 1_000;

function routesOf(deps: EventsDeps): EventsModule['routes'] {
  const { audit, clock, db, redis } = deps;
  return {
    createLiveTicket: async ({ caller, params: { tenantId } }) => {
      const ticket = await createTicket(redis, { tenantId, kind: caller.kind, id: caller.id });
      await db.inTenant(tenantId, (tx) =>
        audit.record(tx, {
          ...actorOf(caller),
          action: 'live_ticket.created',
          subjectType: 'tenant',
          subjectId: tenantId,
          outcome: 'ok',
          digest: null,
          details: {},
        }),
      );
      return { ticket, expiresAt: toInstant(clock.now() + ticketLifeS * 1000) };
    },
    listEvents: ({ params: { tenantId }, query }) =>
      db.inTenant(tenantId, async (tx) => {
        const items = await listEvents(tx, query.after, query.limit ?? 500);
        return { items, lastSeq: await lastSeq(tx) };
      }),
  };
}

function draftOf({ type, subjectId, data }: EventDraft): OutboxDraft {
  return { topic: eventTopic, payload: { type, subjectId, data: data as JsonObject } };
}

export function createEventsModule(deps: EventsDeps): EventsModule {
  const { db, log, outbox, redis, listener } = deps;
  const hub = new EventHub({ db, log });
  let polling: NodeJS.Timeout | undefined;
  outbox.subscribe(
    createSequencer((tenantIds) => {
      for (const tenantId of tenantIds) hub.wake(tenantId);
      redis
        .publish(channel, JSON.stringify(tenantIds))
        .catch((error: unknown) =>
          log.debug({ err: error }, 'the wake-up of other processes was not sent: they poll'),
        );
    }),
  );
  return {
    emit: (tx, event) => outbox.publish(tx, [draftOf(event)]),
    emitAll: (tx, events) =>
      outbox.publish(
        tx,
        events.map((event) => ({ ...draftOf(event), tenantId: event.tenantId })),
      ),
    routes: routesOf(deps),
    extend: liveSocket({ ...deps, hub }),
    start: () => {
      listener.on('message', (_channel, text) => {
        for (const tenantId of JSON.parse(text) as string[]) hub.wake(tenantId);
      });
      listener
        .subscribe(channel)
        .catch((error: unknown) => log.warn({ err: error }, 'wake-ups do not come: events are polled'));
      polling = setInterval(() => {
        for (const tenantId of hub.tenants()) hub.wake(tenantId);
      }, pollMs);
    },
    stop: () => clearInterval(polling),
    removeOldEvents: () =>
      db.inSystem('events.removeOld', (tx) => removeOldEvents(tx, new Date(deps.clock.now() - retentionMs))),
  };
}
