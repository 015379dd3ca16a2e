import { loop } from './loop.ts';

/** `node:timers/promises` of the simulated world. */
export async function setTimeout<T>(delayMs = 0, value?: T): Promise<T | undefined> {
  await loop.sleep(Math.max(1, delayMs));
  return value;
}
