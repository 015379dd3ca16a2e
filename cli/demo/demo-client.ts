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

/** Signs a person in through the real pages, at level 3 with the second factor shown twice, and gives the API as that person sees it. */
export async function signInAs(baseUrl: string, account: DemoAccount, level: 2 | 3 = 2): Promise<DemoPerson> {
  const anonymous = createApi({ baseUrl, token: () => Promise.resolve(null) });
  const { identity } = await anonymous.call('getBootstrap', {});
  const { realm, clientId } = identity;
  const token = await openSession({ baseUrl, realm, clientId, level }, account);
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
