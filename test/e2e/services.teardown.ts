import { test } from '@playwright/test';
import { removeOwnInstallation } from './installation.ts';

test('services, machines, mounts and bridges are gone', async () => {
  test.setTimeout(180_000);
  await removeOwnInstallation();
});
