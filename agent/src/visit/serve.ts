import { setTimeout as delay } from 'node:timers/promises';
import path from 'node:path';
import { VisitLink } from '../link/visitLink.ts';
import { Agent } from '../runner/agent.ts';

/** Nobody came and nothing is under way: the engine leaves the host. */
const leaveAfterMs = 120_000;

/** Where visitors find the engine. */
export function visitSocket(stateRoot: string): string {
  return path.join(stateRoot, 'visit.sock');
}

/** Works for visitors until nothing is left to do for a while. While a guard is armed it stays, to turn back in time. */
export async function serveVisits(stateRoot: string, ended: Promise<void>): Promise<void> {
  let link: VisitLink | null = null;
  const agent = await Agent.open(stateRoot, null, (handlers) => {
    link = new VisitLink(handlers, visitSocket(stateRoot));
    return link;
  });
  const working = agent.start();
  let isOver = false;
  void ended.then(() => (isOver = true));
  while (!isOver) {
    await Promise.race([ended, delay(2000)]);
    const idleMs = (link as VisitLink | null)?.idleMs ?? 0;
    if (idleMs > leaveAfterMs && !(await agent.isBusy())) break;
  }
  await Promise.race([working, delay(0)]);
  await agent.stop();
}
