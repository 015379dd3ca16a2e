import { setTimeout as delay } from 'node:timers/promises';
import { log } from '../log.ts';
import type { Agent } from './agent.ts';

/** Time for the alarm to leave before the program ends. */
const farewellMs = 500;

/**
 * Lets the agent work until somebody asks it to stop, or until its journal cannot be written any more. It does not go on
 * after that: the service manager starts it again, and what the disk holds is then the truth. So it does when another version
 * has taken this one's place.
 */
export async function workUntilEnd(agent: Agent): Promise<'stopped' | 'failed'> {
  const stopped = new Promise<'stopped'>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve('stopped'));
  });
  const failed = agent.failed.then(async (failure) => {
    log('journal.failed', { why: failure.message, cause: String(failure.cause) });
    await delay(farewellMs);
    return 'failed' as const;
  });
  const replaced = agent.replaced.then(() => 'stopped' as const);
  const why = await Promise.race([agent.start().then(() => stopped), stopped, failed, replaced]);
  await agent.stop();
  return why;
}
