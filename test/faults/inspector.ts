import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import type { Installation } from './installation.ts';

const openWithinMs = 10_000;

/** Null when nobody listens there any more. */
function connect(address: string): Promise<WebSocket | null> {
  const socket = new WebSocket(address);
  return new Promise((resolve) => {
    socket.once('open', () => resolve(socket));
    // The process may die of what it is told, too.
    socket.on('error', () => resolve(null));
  });
}

/** Opens the debugger of the running server by the signal that Node listens to; it had none until now. */
async function openDebugger(installation: Installation): Promise<WebSocket> {
  process.kill(installation.pidOf('server'), 'SIGUSR1');
  const untilMs = Date.now() + openWithinMs;
  for (;;) {
    // Addresses of servers that are dead stand in the log as well: the last one counts, once it answers.
    const all = [...installation.logOf('server').matchAll(/Debugger listening on (ws:\S+)/g)];
    const address = all.at(-1)?.[1];
    const socket = address === undefined ? null : await connect(address);
    if (socket !== null) return socket;
    if (Date.now() > untilMs) throw new Error('the server opened no debugger');
    await delay(50);
  }
}

/** Runs an expression inside the server's process. Resolves when it has been handed over: the answer may never come. */
export async function runInServer(installation: Installation, expression: string): Promise<void> {
  const socket = await openDebugger(installation);
  socket.send(JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression } }));
  await delay(200);
  socket.terminate();
}
