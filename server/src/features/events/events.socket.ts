import websocket from '@fastify/websocket';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import { AppError } from '../../platform/errors.ts';
import type { Logger } from '../../platform/log.ts';
import type { Redis } from '../../platform/redis.ts';
import type { EventHub, Follower } from './events.hub.ts';
import { spendTicket, type TicketHolder } from './events.tickets.ts';

interface SocketDeps {
  readonly hub: EventHub;
  readonly redis: Redis;
  readonly log: Logger;
  readonly publicUrl: string;
  readonly belongs: (who: Pick<TicketHolder, 'kind' | 'id'>, tenantId: string) => Promise<boolean>;
}

/** Close code for a caller who has lost the tenant (private range, RFC 6455 section 7.4.2). */
const lostAccessCode = 4003;
// With the time that a reading takes this stays under the 5 s within which a revoked person sees nothing more.
const recheckMs = 4_000;
const pingMs = 20_000;

const holders = new WeakMap<FastifyRequest, TicketHolder>();

async function admit(request: FastifyRequest, deps: SocketDeps): Promise<void> {
  // A page of another origin can open a WebSocket here; only the header tells. Programs that send none hold a ticket.
  const { origin } = request.headers;
  if (origin !== undefined && origin !== deps.publicUrl) throw new AppError('origin_refused');
  const { ticket, after } = request.query as { ticket?: unknown; after?: unknown };
  const isNumber = after === undefined || (typeof after === 'string' && /^(0|[1-9]\d{0,14})$/.test(after));
  if (typeof ticket !== 'string' || !isNumber) throw new AppError('invalid_request');
  const holder = await spendTicket(deps.redis, ticket);
  if (holder === null) throw new AppError('unauthenticated');
  holders.set(request, holder);
}

function follow(socket: WebSocket, request: FastifyRequest, deps: SocketDeps): void {
  const holder = holders.get(request);
  if (holder === undefined) {
    socket.close(1008);
    return;
  }
  const { after } = request.query as { after?: string };
  const follower: Follower = {
    tenantId: holder.tenantId,
    seq: after === undefined ? null : Number(after),
    send: (text) => socket.send(text),
    backlogBytes: () => socket.bufferedAmount,
    drop: (code, reason) => {
      socket.close(code, reason);
      // A peer that does not read does not answer the close either.
      setTimeout(() => socket.terminate(), 2_000).unref();
    },
  };
  const watch = (): void => {
    deps.belongs(holder, holder.tenantId).then(
      (stays) => {
        if (!stays) follower.drop(lostAccessCode, 'no longer a member');
      },
      (error: unknown) =>
        deps.log.debug({ err: error }, 'a follower could not be checked; checked again soon'),
    );
  };
  let answered = true;
  const ping = setInterval(() => {
    if (!answered) socket.terminate();
    answered = false;
    socket.ping();
  }, pingMs);
  const recheck = setInterval(watch, recheckMs);
  socket.on('pong', () => {
    answered = true;
  });
  // Nothing is asked on this socket: whoever talks does not speak our protocol.
  socket.on('message', () => socket.close(1008, 'this socket only tells'));
  socket.on('error', (error) => deps.log.debug({ err: error }, 'a follower’s socket failed'));
  socket.on('close', () => {
    clearInterval(ping);
    clearInterval(recheck);
    deps.hub.remove(follower);
  });
  deps.hub.add(follower);
}

/** Adds `GET /ws?ticket=…&after=…`: arrays of events in their order, from the number after `after`, or from now. */
export function liveSocket(deps: SocketDeps): (app: FastifyInstance) => Promise<void> {
  return async (app) => {
    await app.register(websocket, { options: { maxPayload: 1024, perMessageDeflate: false } });
    app.get('/ws', { websocket: true, preValidation: (request) => admit(request, deps) }, (socket, request) =>
      follow(socket, request, deps),
    );
  };
}
