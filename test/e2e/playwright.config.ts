import os from 'node:os';
import path from 'node:path';
import { defineConfig } from '@playwright/test';
import { findDirectories } from '../../stack/directories.ts';
import { chromiumLaunch } from './browser.ts';

// Read by the runner first and by each of its workers again: all of them find the same installation in the environment.
process.env.ATLAS_E2E_DIR ??= path.join(os.tmpdir(), `atlas-e2e-${process.pid}`);

export default defineConfig({
  testDir: import.meta.dirname,
  // Pictures of a failed test stay until the next run.
  outputDir: path.join(findDirectories().cacheDir, 'runs', 'e2e'),
  // The job mostly waits for its machines; pages are looked at meanwhile.
  workers: 2,
  retries: 0,
  forbidOnly: true,
  timeout: 120_000,
  expect: { timeout: 20_000 },
  use: {
    browserName: 'chromium',
    launchOptions: chromiumLaunch,
    locale: 'fr-FR',
    timezoneId: 'Europe/Paris',
    actionTimeout: 30_000,
    navigationTimeout: 60_000,
  },
  projects: [
    { name: 'services', testMatch: 'services.setup.ts', teardown: 'end' },
    { name: 'end', testMatch: 'services.teardown.ts' },
    { name: 'browser', testMatch: '*.spec.ts', dependencies: ['services'] },
  ],
});
