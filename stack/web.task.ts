import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { Directories } from './directories.ts';
import { runCommand } from './runCommand.ts';
import type { Task } from './unit.ts';

export function hasWeb(directories: Directories): boolean {
  return existsSync(path.join(directories.root, 'web', 'index.html'));
}

/** Folder of the built web application for what the sources are now; the same sources are never built twice. */
export function findWebFolder({ root, cacheDir }: Directories): string {
  const digest = createHash('sha256');
  const patterns = ['web/**/*', 'contract/**/*.ts', 'package-lock.json'];
  const files = globSync(patterns, {
    cwd: root,
    withFileTypes: true,
    exclude: ['**/dist/**', '**/node_modules/**'],
  });
  const names = files.filter((file) => file.isFile()).map((file) => path.join(file.parentPath, file.name));
  for (const name of names.sort()) digest.update(`${path.relative(root, name)}\0`).update(readFileSync(name));
  return path.join(cacheDir, 'web', digest.digest('hex').slice(0, 16));
}

export function createWebTask(directories: Directories, webDir: string): Task {
  return {
    kind: 'task',
    name: 'web',
    after: [],
    run: async ({ report, signal }) => {
      if (existsSync(webDir)) return;
      report(['construction de l’application web', 'building the web application']);
      const fresh = `${webDir}.${process.pid}`;
      const vite = path.join(directories.root, 'node_modules', 'vite', 'bin', 'vite.js');
      mkdirSync(path.dirname(webDir), { recursive: true });
      await runCommand(process.execPath, [vite, 'build', 'web', '--outDir', fresh, '--emptyOutDir'], {
        stateDir: directories.stateDir,
        logName: 'web',
        cwd: directories.root,
        signal,
      });
      if (existsSync(webDir)) rmSync(fresh, { recursive: true });
      else renameSync(fresh, webDir);
    },
  };
}
