import path from 'node:path';
import { expect, test } from '@playwright/test';
import { buildAgentDeb } from '../../agent/packaging/build-deb.ts';
import { bootstrapDemo } from '../../cli/demo/firstRun.ts';
import { startDaemon, waitUntilReady } from '../../stack/daemon.ts';
import { findWebFolder } from '../../stack/web.task.ts';
import { findInstallation, keepInstalled, makeFolder, openContext, removeAbandoned } from './installation.ts';
import { createMachines } from './machines.ts';

test('the services answer, two machines are up and the agent’s package is built', async () => {
  test.setTimeout(600_000);
  await removeAbandoned();
  makeFolder();
  const directories = findInstallation();
  const webDir = findWebFolder(directories);
  const supervisor = startDaemon(directories);
  const outDir = path.join(directories.cacheDir, 'agent');
  const [status, debPath] = await Promise.all([
    waitUntilReady(directories.stateDir, supervisor, () => undefined),
    buildAgentDeb({ outDir, nodeBinary: process.execPath, version: '0.1.0' }),
    createMachines(),
  ]);
  const url = status.publicUrl;
  // Passkeys and Keycloak need a secure context, which plain HTTP is on this name alone.
  if (url === undefined) throw new Error('the services did not say their address');
  expect(new URL(url).hostname).toBe('localhost');
  const { tenantId } = await bootstrapDemo(openContext());
  keepInstalled({ url, webDir, debPath, tenantId });
});
