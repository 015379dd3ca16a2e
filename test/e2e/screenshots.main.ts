import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { Page } from '@playwright/test';
import { startMockServer } from '../harness/mock-api/mockServer.ts';
import {
  findViolations,
  launchChromium,
  locales,
  openLook,
  picture,
  sizes,
  themes,
  visit,
} from './browser.ts';
import type { Look } from './browser.ts';
import { shots } from './pages.ts';
import type { Shot } from './pages.ts';

// Takes a picture of every page in every look over the simulated client, and says what axe finds on the way.
// Exit status 1 when a page is refused by axe or by the browser's content policy.

const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    web: { type: 'string' },
    services: { type: 'string' },
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

/** One picture; whatever keeps it from being taken or is wrong on it becomes a complaint. */
async function take(page: Page, shot: Shot, lookName: string): Promise<void> {
  try {
    await visit(page, shot);
    await picture(page, path.join(out, lookName, `${shot.name}.png`));
    pictures += 1;
    const violations = values.axe ? await findViolations(page) : [];
    complaints.push(...violations.map((line) => `${lookName} ${shot.name}: ${line}`));
  } catch (error) {
    const said = error instanceof Error ? error.message.split('\n')[0] : String(error);
    complaints.push(`${lookName} ${shot.name}: ${said}`);
  }
  if (shot.act !== undefined) await page.keyboard.press('Escape');
}

const told = new Set<string>();
/** Says what was not said before: a long tour is read while it goes on. */
function tellNew(): void {
  for (const complaint of complaints) {
    if (!told.has(complaint)) console.error(complaint);
    told.add(complaint);
  }
}

async function takeLook(look: Look, lookName: string): Promise<void> {
  await mkdir(path.join(out, lookName), { recursive: true });
  const page = await openLook(browser, mock.url, look);
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().includes('404'))
      complaints.push(`${lookName}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`${lookName}: ${error.message}`));
  for (const shot of shots.filter(({ name }) => only === undefined || only.includes(name)))
    await take(page, shot, lookName);
  await page.context().close();
}

/** The identity provider's page, in the colours that the reader's system asks for. */
async function takeSignIn(
  origin: string,
  locale: Look['locale'],
  colorScheme: 'light' | 'dark',
): Promise<void> {
  const context = await browser.newContext({ viewport: sizes.wide, colorScheme });
  const page = await context.newPage();
  const name = `sign-in ${locale} ${colorScheme}`;
  try {
    await page.goto(origin);
    if (locale === 'en') await page.getByRole('button', { name: 'Show in English' }).click();
    await page.getByRole('button', { name: /Se connecter|Sign in/ }).click();
    await page.locator('#kc-login').waitFor();
    const folder = path.join(out, `${locale}-${colorScheme}-wide`);
    await mkdir(folder, { recursive: true });
    await page.screenshot({ path: path.join(folder, 'sign-in.png') });
    pictures += 1;
    complaints.push(...(await findViolations(page)).map((line) => `${name}: ${line}`));
  } catch (error) {
    complaints.push(`${name}: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`);
  }
  await context.close();
}

async function takeSignIns(origin: string | undefined): Promise<void> {
  if (origin === undefined) return;
  for (const locale of locales) {
    await takeSignIn(origin, locale, 'light');
    await takeSignIn(origin, locale, 'dark');
  }
}

try {
  for (const look of looks) {
    const lookName = `${look.locale}-${look.theme}-${look.size}`;
    if (wantedLooks !== undefined && !wantedLooks.includes(lookName)) continue;
    console.error(lookName);
    await takeLook(look, lookName);
    tellNew();
  }
  if (only === undefined || only.includes('sign-in')) await takeSignIns(values.services);
} finally {
  await browser.close();
  await mock.close();
}
tellNew();
await mkdir(out, { recursive: true });
await writeFile(path.join(out, 'summary.json'), JSON.stringify({ pictures, complaints: complaints.length }));
process.exitCode = complaints.length === 0 ? 0 : 1;
