import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { runCommand } from './runCommand.ts';
import type { RunOptions } from './runCommand.ts';
import type { Work } from './unit.ts';

export const keycloakVersion = '26.7.3';
const fetchPlugin = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy';

/** Options that Keycloak compiles in; a change of one makes another build. */
const buildOptions = [
  '--db=postgres',
  '--http-relative-path=/idp',
  '--http-management-relative-path=/',
  '--health-enabled=true',
  '--metrics-enabled=false',
];

export type KeycloakFolders = {
  stateDir: string;
  cacheDir: string;
  /** Folder of themes of the repository; need not exist. */
  themesDir: string;
  /** Where the installation's own Keycloak stands. */
  targetDir: string;
};

/** Fetches Keycloak by its Maven coordinates, builds it once per set of options, and lays a copy for this installation. */
export async function layKeycloak(folders: KeycloakFolders, work: Work): Promise<void> {
  const built = await buildOnce(folders, work);
  const marker = path.join(folders.targetDir, `.${path.basename(built)}`);
  if (!existsSync(marker)) {
    rmSync(folders.targetDir, { recursive: true, force: true });
    await runCommand('cp', ['-a', '--reflink=auto', built, folders.targetDir], log(folders, work));
    mkdirSync(marker);
  }
  layThemes(folders);
}

function layThemes({ themesDir, targetDir }: KeycloakFolders): void {
  const target = path.join(targetDir, 'themes');
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target);
  if (!existsSync(themesDir)) return;
  for (const theme of readdirSync(themesDir)) {
    cpSync(path.join(themesDir, theme), path.join(target, theme), { recursive: true });
  }
}

async function buildOnce(folders: KeycloakFolders, work: Work): Promise<string> {
  const optionsDigest = createHash('sha256').update(buildOptions.join(' ')).digest('hex').slice(0, 8);
  const folder = path.join(folders.cacheDir, 'keycloak');
  const built = path.join(folder, `${keycloakVersion}-${optionsDigest}`);
  if (existsSync(built)) return built;
  mkdirSync(folder, { recursive: true });
  const archive = await fetchArchive(folders, work);
  work.report([
    'préparation de Keycloak pour PostgreSQL (une fois, 15 s environ)',
    'building Keycloak for PostgreSQL (once, about 15 s)',
  ]);
  // Beside and renamed: an interrupted build is never taken for a whole one, two installations may race.
  const fresh = `${built}.${process.pid}`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh);
  await runCommand('tar', ['-xzf', archive, '-C', fresh, '--strip-components=1'], log(folders, work));
  await runCommand(path.join(fresh, 'bin', 'kc.sh'), ['build', ...buildOptions], log(folders, work));
  if (existsSync(built)) rmSync(fresh, { recursive: true, force: true });
  else renameSync(fresh, built);
  return built;
}

async function fetchArchive(folders: KeycloakFolders, work: Work): Promise<string> {
  const downloads = path.join(folders.cacheDir, 'downloads');
  const archive = path.join(downloads, `keycloak-quarkus-dist-${keycloakVersion}.tar.gz`);
  if (existsSync(archive)) return archive;
  work.report([
    `téléchargement de Keycloak ${keycloakVersion} par Maven (180 Mo, une fois)`,
    `fetching Keycloak ${keycloakVersion} by Maven (180 MB, once)`,
  ]);
  const fresh = path.join(downloads, `.fetch-${process.pid}`);
  mkdirSync(fresh, { recursive: true });
  const artifact = `org.keycloak:keycloak-quarkus-dist:${keycloakVersion}:tar.gz`;
  const settings = [
    `-Dartifact=${artifact}`,
    `-DoutputDirectory=${fresh}`,
    `-Dmaven.repo.local=${fresh}/repository`,
  ];
  const options = { ...log(folders, work), cwd: fresh };
  await runCommand('mvn', ['--batch-mode', '--no-transfer-progress', fetchPlugin, ...settings], options);
  renameSync(path.join(fresh, path.basename(archive)), archive);
  rmSync(fresh, { recursive: true, force: true });
  return archive;
}

function log(folders: KeycloakFolders, work: Work): RunOptions {
  return { stateDir: folders.stateDir, logName: 'keycloak', signal: work.signal };
}
