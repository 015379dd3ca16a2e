import { setTimeout as sleep } from 'node:timers/promises';

const maxTries = 4;
const longestWaitS = 10;

/**
 * `fetch` that comes back when a busy server says so: 429 and 503 with Retry-After are said before anything is done.
 * Nothing else is asked twice. Gives the last answer when the server stays busy.
 */
export async function patientFetch(url: string | URL, init?: RequestInit): Promise<Response> {
  for (let tries = 1; ; tries += 1) {
    const response = await fetch(url, init);
    const waitS = Number(response.headers.get('retry-after') ?? NaN);
    const isBusy = response.status === 429 || response.status === 503;
    if (!isBusy || tries === maxTries || !(waitS >= 0 && waitS <= longestWaitS)) return response;
    await response.body?.cancel();
    await sleep(waitS * 1000);
  }
}
