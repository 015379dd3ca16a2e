import { setTimeout as sleep } from 'node:timers/promises';
import { createApi } from '../api.ts';
import type { Api } from '../api.ts';
import { openSession } from './sign-in.ts';
import type { DemoAccount } from './sign-in.ts';

/** One signed-in person of the demo. */
export interface DemoPerson {
  readonly api: Api;
  readonly username: string;
}

/** Signs a person in through the real pages and gives the API as that person sees it. */
export async function signInAs(baseUrl: string, account: DemoAccount): Promise<DemoPerson> {
  const anonymous = createApi({ baseUrl, token: () => Promise.resolve(null) });
  const { identity } = await anonymous.call('getBootstrap', {});
  const token = await openSession({ baseUrl, realm: identity.realm, clientId: identity.clientId }, account);
  return { api: createApi({ baseUrl, token }), username: account.username };
}

/** Asks again until the answer is there; throws with `what` when the time is over. */
export async function until<T>(
  what: string,
  timeoutMs: number,
  look: () => Promise<T | undefined>,
): Promise<T> {
  const endAtMs = Date.now() + timeoutMs;
  for (;;) {
    const answer = await look();
    if (answer !== undefined) return answer;
    if (Date.now() > endAtMs) throw new Error(`${what}: nothing after ${timeoutMs / 1000} s`);
    await sleep(500);
  }
}
