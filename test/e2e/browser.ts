import AxeBuilder from '@axe-core/playwright';
import { chromium } from '@playwright/test';
import type { Browser, Page } from '@playwright/test';
import type { Shot } from './pages.ts';

export const themes = ['light', 'dark', 'contrast'] as const;
export const locales = ['fr', 'en'] as const;
export const sizes = { wide: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } } as const;

export interface Look {
  readonly theme: (typeof themes)[number];
  readonly locale: (typeof locales)[number];
  readonly size: keyof typeof sizes;
}

/** The distribution's Chromium with nothing that calls out. */
export const chromiumLaunch = {
  executablePath: '/usr/bin/chromium',
  args: [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
};

/** A browser of our own, for programs that no test runner starts. */
export function launchChromium(): Promise<Browser> {
  return chromium.launch(chromiumLaunch);
}

/** A signed-in page in one look; sign-in happens by the application itself, on the first visit. */
export async function openLook(browser: Browser, origin: string, look: Look): Promise<Page> {
  const context = await browser.newContext({
    viewport: sizes[look.size],
    reducedMotion: 'reduce',
    locale: look.locale === 'fr' ? 'fr-FR' : 'en-GB',
    timezoneId: 'Europe/Paris',
    ...(look.size === 'phone' ? { hasTouch: true, isMobile: true } : {}),
  });
  const preferences = JSON.stringify({ theme: look.theme, locale: look.locale });
  await context.addInitScript((stored) => localStorage.setItem('atlas.preferences', stored), preferences);
  const page = await context.newPage();
  await page.goto(origin);
  await page.getByRole('button', { name: /Se connecter|Sign in/ }).click();
  await page.getByRole('heading', { level: 1, name: /Aujourd’hui|Today/ }).waitFor();
  return page;
}

/** Goes to a page inside the application and waits until nothing loads any more. */
export async function visit(page: Page, shot: Shot): Promise<void> {
  const href = JSON.stringify(shot.path);
  await page.evaluate(`history.pushState(null, '', ${href}); dispatchEvent(new PopStateEvent('popstate'))`);
  await page.getByRole('heading', { level: 1 }).waitFor();
  await page.waitForLoadState('networkidle');
  if (shot.act !== undefined) await acts[shot.act](page);
}

/** A picture of the whole page as a screen tall enough would show it: bars stay at their edges. */
export async function picture(page: Page, file: string): Promise<void> {
  const size = page.viewportSize() ?? sizes.wide;
  const wanted = Number(await page.evaluate('document.documentElement.scrollHeight'));
  const height = Math.min(Math.max(size.height, wanted), tallest);
  await page.setViewportSize({ width: size.width, height });
  await page.waitForLoadState('networkidle');
  await page.screenshot({ path: file });
  await page.setViewportSize(size);
}

/** A list of hundreds says nothing more further down. */
const tallest = 2400;

const acts: Readonly<Record<NonNullable<Shot['act']>, (page: Page) => Promise<void>>> = {
  preview: async (page) => {
    await page.getByLabel(/^(Titre|Title)$/).fill('Correctifs de novembre, site nord');
    await page.getByRole('button', { name: /Voir l’aperçu|Show the preview/ }).click();
    await page.getByRole('heading', { name: /En résumé|Summary/ }).waitFor();
  },
  palette: async (page) => {
    await page.keyboard.press('Control+K');
    await page.getByRole('combobox').waitFor();
  },
  shortcuts: async (page) => {
    await page.keyboard.press('?');
    await page.getByRole('dialog').waitFor();
  },
  select: async (page) => {
    await page.getByRole('checkbox').nth(1).check();
    await page.getByRole('checkbox').nth(2).check();
  },
  verify: async (page) => {
    await page.getByRole('button', { name: /Vérifier tout|Verify the whole/ }).click();
    await page.getByText(/sont intactes|are intact/).waitFor();
  },
  entry: async (page) => {
    await page
      .getByRole('main')
      .getByRole('button', { name: /Journal|journal|fait|done/ })
      .nth(3)
      .click();
    await page.getByRole('dialog').waitFor();
  },
  enrol: async (page) => {
    await page
      .getByRole('main')
      .getByRole('button', { name: /Enrôler un serveur|Enrol a server/ })
      .click();
    await page.getByRole('button', { name: /Émettre le jeton|Issue the token/ }).click();
    await page.getByText(/Collez cette ligne|Paste this line/).waitFor();
  },
  newSsh: async (page) => {
    await page
      .getByRole('main')
      .getByRole('button', { name: /Ajouter un hôte par SSH|Add a host/ })
      .click();
    await page.getByLabel(/Adresse ou nom DNS|Address or DNS name/).fill('10.20.0.40');
    await page.getByRole('button', { name: /Lire la clé de l’hôte|Read the host/ }).click();
    await page.getByText(/J’ai comparé|I have compared/).waitFor();
  },
  newGroup: async (page) => {
    await page.getByRole('button', { name: /^(Modifier Imagerie|Edit Imagerie)$/ }).click();
    await page.getByRole('dialog').waitFor();
  },
  newPolicy: async (page) => {
    await page
      .getByRole('main')
      .getByRole('button', { name: /Nouvelle politique|New policy/ })
      .click();
    await page.getByRole('dialog').waitFor();
  },
  newWindow: (page) => openEditor(page, /Nouvelle fenêtre|New window/),
  newException: (page) => openEditor(page, /Demander une dérogation|Ask for an exception/),
  newFreeze: (page) => openEditor(page, /Nouveau gel|New freeze/),
  unfoldLane: async (page) => {
    await page
      .getByRole('button', { name: /^(Montrer les serveurs|Show the hosts)/ })
      .first()
      .click();
    await page.getByRole('button', { name: /^(Cacher les serveurs|Hide the hosts)/ }).waitFor();
  },
  openBar: async (page) => {
    await page
      .getByRole('gridcell')
      .getByRole('button', { name: /^Plan / })
      .first()
      .click();
    await page.getByRole('dialog').waitFor();
  },
  expand: async (page) => {
    await page.getByRole('main').locator('summary').first().click();
  },
};

/** What axe finds wrong on the page as it is, as short lines. */
export async function findViolations(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(
      (node) => `${id}: ${node.target.join(' ')} ${node.failureSummary?.split('\n')[1]?.trim() ?? ''}`,
    ),
  );
}

/** Opens a form that shows the next times, and waits for them. */
async function openEditor(page: Page, name: RegExp): Promise<void> {
  await page.getByRole('main').getByRole('button', { name }).click();
  await page.getByRole('dialog').getByRole('listitem').first().waitFor();
}
