import { expect, test } from '@playwright/test';
import { findViolations } from './browser.ts';
import { readInstalled } from './installation.ts';

const words = {
  fr: { switchTo: /Afficher en français/, button: 'Se connecter', field: 'Mot de passe', wrong: /invalide/i },
  en: { switchTo: /Show in English/, button: 'Sign in', field: 'Password', wrong: /invalid/i },
} as const;

for (const locale of ['fr', 'en'] as const)
  for (const colorScheme of ['light', 'dark'] as const)
    test(`the sign-in page speaks ${locale} and has no accessibility fault (${colorScheme})`, async ({
      browser,
    }) => {
      const context = await browser.newContext({ colorScheme });
      const page = await context.newPage();
      const { switchTo, button, field, wrong } = words[locale];
      await page.goto(readInstalled().url);
      if (locale === 'en') await page.getByRole('button', { name: switchTo }).click();
      await page.getByRole('button', { name: button }).click();
      await expect(page.getByLabel(field, { exact: true })).toBeVisible();
      expect(await findViolations(page)).toEqual([]);
      await page.locator('#username').fill('nobody');
      await page.getByLabel(field, { exact: true }).fill('not the password');
      await page.getByRole('button', { name: button }).click();
      await expect(page.getByText(wrong)).toBeVisible();
      expect(await findViolations(page)).toEqual([]);
      await context.close();
    });
