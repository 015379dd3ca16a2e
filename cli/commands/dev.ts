import { spawn } from 'node:child_process';
import path from 'node:path';
import type { Command } from 'commander';
import { startDaemon, stopDaemon, waitUntilReady } from '../../stack/daemon.ts';
import { findWebFolder } from '../../stack/web.task.ts';
import type { CliContext } from '../context.ts';
import { createProgress } from '../progress.ts';

/** `dev`: the services with a server that restarts and a web application that is built again at every change. */
export function registerDev(program: Command, context: CliContext): void {
  program
    .command('dev')
    .description(
      context.text([
        'services, serveur relancé et application reconstruite à chaque changement ; Ctrl+C arrête tout',
        'services, server restarted and application rebuilt at every change; Ctrl+C stops all',
      ]),
    )
    .action(async () => {
      const { directories } = context;
      // The folder of the sources as they are now; later builds go to the same place, so that the address stays.
      const webDir = findWebFolder(directories);
      const supervisor = startDaemon(directories, { watch: true });
      const status = await waitUntilReady(directories.stateDir, supervisor, createProgress(context).show);
      context.say([`Adresse : ${status.publicUrl}`, `Address: ${status.publicUrl}`]);
      const vite = path.join(directories.root, 'node_modules', 'vite', 'bin', 'vite.js');
      const args = [vite, 'build', 'web', '--watch', '--outDir', webDir, '--emptyOutDir'];
      const builder = spawn(process.execPath, args, { cwd: directories.root, stdio: 'inherit' });
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => builder.kill(signal));
      await new Promise((resolve) => builder.once('exit', resolve));
      await stopDaemon(directories.stateDir);
    });
}
