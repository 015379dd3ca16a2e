import { expect, test } from '@playwright/test';
import { startMockServer } from '../harness/mock-api/mockServer.ts';
import type { MockServer } from '../harness/mock-api/mockServer.ts';
import { findViolations, openLook, visit } from './browser.ts';
import type { Look } from './browser.ts';
import { readInstalled } from './installation.ts';
import { shots } from './pages.ts';

// Every page over the simulated client: more hosts, states and faults than two machines can show.

const looks: readonly Look[] = [
  { locale: 'fr', theme: 'light', size: 'wide' },
  { locale: 'en', theme: 'dark', size: 'phone' },
  { locale: 'fr', theme: 'contrast', size: 'wide' },
];

let mock: MockServer;
test.beforeAll(async () => {
  mock = await startMockServer(readInstalled().webDir);
});
test.afterAll(() => mock.close());

for (const look of looks) {
  const name = `${look.locale}, ${look.theme}, ${look.size}`;
  test(`axe finds nothing wrong on any page (${name})`, async ({ browser }) => {
    test.setTimeout(600_000);
    const page = await openLook(browser, mock.url, look);
    const found: string[] = [];
    page.on('pageerror', (error) => found.push(error.message));
    for (const shot of shots) {
      await visit(page, shot);
      found.push(...(await findViolations(page)).map((line) => `${shot.name}: ${line}`));
      if (shot.act !== undefined) await page.keyboard.press('Escape');
    }
    await page.context().close();
    expect(found).toEqual([]);
  });
}
