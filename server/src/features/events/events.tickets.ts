import { randomBytes } from 'node:crypto';
import type { Caller } from '../../platform/http/caller.ts';
import type { Redis } from '../../platform/redis.ts';
import { AppError } from '../../platform/errors.ts';

/** What a ticket stands for. */
export interface TicketHolder {
  readonly tenantId: string;
  readonly kind: Caller['kind'];
  readonly id: string;
}

export const ticketLifeS = 30;
const keyOf = (ticket: string): string => `atlas:live-ticket:${ticket}`;

/** Makes a ticket that opens one WebSocket within 30 s: a browser cannot send a token with an upgrade. Errors: overloaded. */
export async function createTicket(redis: Redis, holder: TicketHolder): Promise<string> {
  const ticket = randomBytes(24).toString('base64url');
  try {
    await redis.set(keyOf(ticket), JSON.stringify(holder), 'EX', ticketLifeS);
  } catch (error) {
    throw new AppError('overloaded', {
      detail: 'live events are not available now',
      cause: error,
      retryAfterS: 5,
    });
  }
  return ticket;
}

/** Spends the ticket; null when it is unknown, spent or too old. */
export async function spendTicket(redis: Redis, ticket: string): Promise<TicketHolder | null> {
  if (!/^[A-Za-z0-9_-]{32}$/.test(ticket)) return null;
  const text = await redis.getdel(keyOf(ticket));
  return text === null ? null : (JSON.parse(text) as TicketHolder);
}
