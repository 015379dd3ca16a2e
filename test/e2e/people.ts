import type { Browser, Page } from '@playwright/test';
import { expect } from '@playwright/test';
import { keepAccounts } from '../../cli/demo/accounts.ts';
import { totp } from '../../cli/demo/totp.ts';
import { findInstallation, readInstalled } from './installation.ts';

/** What a page said on the way that a healthy one never says. */
export class Complaints {
  readonly lines: string[] = [];

  /** Listens for errors, refused requests and anything that leaves the machine. */
  watch(page: Page, who: string): void {
    const { url } = readInstalled();
    page.on('console', (message) => {
      if (message.type() === 'error') this.lines.push(`${who}: ${message.text()}`);
    });
    page.on('pageerror', (error) => this.lines.push(`${who}: ${error.message}`));
    page.on('response', (response) => {
      if (response.status() >= 400)
        this.lines.push(`${who}: ${response.status()} ${response.request().method()} ${response.url()}`);
    });
    page.on('request', (request) => {
      const own = request.url().startsWith(`${url}/`) || /^(blob|data):/.test(request.url());
      if (!own) this.lines.push(`${who}: a request to ${request.url()}`);
    });
  }
}

/** Walks through the real sign-in pages: password, then one-time code. */
export async function signIn(page: Page, username: string): Promise<void> {
  const account = keepAccounts(findInstallation().stateDir).get(username);
  if (account === undefined) throw new Error(`nobody is called ${username}`);
  await page.goto(readInstalled().url);
  await page.getByRole('button', { name: 'Se connecter' }).click();
  await page.getByLabel(/Nom d.utilisateur/).fill(username);
  await page.getByLabel('Mot de passe', { exact: true }).fill(account.password);
  await page.getByRole('button', { name: 'Se connecter' }).click();
  await page.getByLabel('Code à usage unique').fill(totp(account.totpSecret, Date.now()));
  await page.getByRole('button', { name: 'Se connecter' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Aujourd’hui' })).toBeVisible();
}

/** Somebody at a browser of their own, signed in. */
export async function openPerson(browser: Browser, complaints: Complaints, username: string): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, acceptDownloads: true });
  const page = await context.newPage();
  complaints.watch(page, username);
  await signIn(page, username);
  return page;
}

/** Gives the person an authenticator that knows them, as a fingerprint reader does. */
export async function plugAuthenticator(page: Page): Promise<void> {
  const session = await page.context().newCDPSession(page);
  await session.send('WebAuthn.enable');
  await session.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
}

/** Goes to a section of the navigation. */
export async function openSection(page: Page, name: string): Promise<void> {
  await page.getByRole('navigation', { name: 'Navigation principale' }).getByRole('link', { name }).click();
  await expect(page.getByRole('heading', { level: 1, name })).toBeVisible();
}
