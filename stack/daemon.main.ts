// The background supervisor: brings one installation up, keeps it up, and stops it on SIGTERM.
import { claimSupervision, endLeftovers, forget, writeProcesses, writeStatus } from './daemonState.ts';
import type { StackStatus } from './daemonState.ts';
import { findDirectories } from './directories.ts';
import { startStack } from './stack.ts';
import type { StackHandle } from './stack.ts';
import { StackError } from './text.ts';

const directories = findDirectories();
const { stateDir } = directories;
const agentsNames = (process.env.ATLAS_AGENTS_NAMES ?? '').split(',').filter((name) => name !== '');
const watch = process.env.ATLAS_DEV_WATCH === '1';

async function supervise(): Promise<void> {
  const abort = new AbortController();
  const stopped = new Promise<void>((resolve) => abort.signal.addEventListener('abort', () => resolve()));
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => abort.abort());
  const startedAtMs = performance.now();
  let status: StackStatus = { phase: 'starting', units: {}, startedAt: new Date().toISOString() };
  const say = (change: Partial<StackStatus>): void => {
    status = { ...status, ...change };
    writeStatus(stateDir, status);
  };
  say({});
  const handle = await bringUp(abort.signal, say);
  if (handle === undefined) return;
  say({
    phase: 'ready',
    publicUrl: handle.publicUrl,
    readyAfterMs: Math.round(performance.now() - startedAtMs),
  });
  await stopped;
  say({ phase: 'stopping' });
  await handle.stop();
  forget(stateDir);
}

async function bringUp(
  signal: AbortSignal,
  say: (change: Partial<StackStatus>) => void,
): Promise<StackHandle | undefined> {
  try {
    return await startStack({
      directories,
      agentsNames,
      watch,
      signal,
      onStatus: (units) => say({ units }),
      onProcesses: (processes) => writeProcesses(stateDir, processes),
    });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const known = error instanceof StackError ? error : undefined;
    const detail = known?.detail ?? (error instanceof Error ? (error.stack ?? '') : '');
    say({ phase: 'failed', error: { text: known?.text ?? [message, message], detail } });
    process.exitCode = 1;
    return undefined;
  }
}

if (claimSupervision(stateDir)) {
  await endLeftovers(stateDir);
  await supervise();
}
