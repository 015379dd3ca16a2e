import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { startMockServer } from '../harness/mock-api/mockServer.ts';
import { findViolations, launchChromium, locales, openLook, sizes, themes, visit } from './browser.ts';
import type { Look } from './browser.ts';
import { shots } from './pages.ts';

// Takes a picture of every page in every look over the simulated client, and says what axe finds on the way.
// Exit status 1 when a page is refused by axe or by the browser's content policy.

const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    web: { type: 'string' },
    only: { type: 'string' },
    looks: { type: 'string' },
    axe: { type: 'boolean', default: false },
  },
});
const root = path.resolve(import.meta.dirname, '../..');
const out = path.resolve(values.out ?? path.join(root, '.atlas/screenshots'));
const only = values.only?.split(',');
const wantedLooks = values.looks?.split(',');

const looks: Look[] = locales.flatMap((locale) =>
  themes.flatMap((theme) => (Object.keys(sizes) as Look['size'][]).map((size) => ({ locale, theme, size }))),
);

const mock = await startMockServer(path.resolve(values.web ?? path.join(root, 'web/dist')));
const browser = await launchChromium();
const complaints: string[] = [];
let pictures = 0;
try {
  for (const look of looks) {
    const lookName = `${look.locale}-${look.theme}-${look.size}`;
    if (wantedLooks !== undefined && !wantedLooks.includes(lookName)) continue;
    const folder = path.join(out, lookName);
    await mkdir(folder, { recursive: true });
    const page = await openLook(browser, mock.url, look);
    page.on('console', (message) => {
      if (message.type() === 'error' && !message.text().includes('404'))
        complaints.push(`${lookName}: ${message.text()}`);
    });
    page.on('pageerror', (error) => complaints.push(`${lookName}: ${error.message}`));
    for (const shot of shots.filter(({ name }) => only === undefined || only.includes(name))) {
      try {
        await visit(page, shot);
        await page.screenshot({
          path: path.join(folder, `${shot.name}.png`),
          fullPage: shot.act !== 'palette',
        });
        pictures += 1;
        if (values.axe)
          complaints.push(...(await findViolations(page)).map((line) => `${lookName} ${shot.name}: ${line}`));
      } catch (error) {
        complaints.push(
          `${lookName} ${shot.name}: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`,
        );
      }
      if (shot.act !== undefined) await page.keyboard.press('Escape');
    }
    await page.context().close();
  }
} finally {
  await browser.close();
  await mock.close();
}
for (const complaint of new Set(complaints)) console.error(complaint);
console.log(JSON.stringify({ pictures, complaints: complaints.length, out }));
process.exitCode = complaints.length === 0 ? 0 : 1;
