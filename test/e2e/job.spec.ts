import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from '@playwright/test';
import type { Page } from '@playwright/test';
import { keepAccounts } from '../../cli/demo/accounts.ts';
import { totp } from '../../cli/demo/totp.ts';
import { createRootKeys, openPolicy, signPolicyWith } from '../../cli/policyDocument.ts';
import { findInstallation, readInstalled } from './installation.ts';
import { brokenHost, goodHost, openMachine } from './machines.ts';
import { Complaints, openPerson, openSection, plugAuthenticator } from './people.ts';
import { findViolations } from './browser.ts';

// The product's reason to exist, told once: each test goes on where the one before it stopped.
test.describe.configure({ mode: 'serial' });

const complaints = new Complaints();
let admin: Page;
let operator: Page;
let approvers: readonly [Page, Page];
let runUrl: string;

const people = (): Page[] => [admin, operator, ...approvers];
const openPart = async (page: Page, name: string): Promise<void> => {
  await openSection(page, 'Réglages');
  await page.getByRole('link', { name, exact: true }).click();
};
/** Each approver's key stands in the list, and this is said of it. */
const expectKeys = async (page: Page, said: string): Promise<void> => {
  for (const name of ['valideur-1', 'valideur-2'])
    await expect(page.getByRole('listitem').filter({ hasText: name }).first()).toContainText(said);
};
/** A local time of the site as the browser's field wants it. */
const localField = (atMs: number): string =>
  new Date(atMs).toLocaleString('sv-SE', { timeZone: 'Europe/Paris' }).slice(0, 16).replace(' ', 'T');

test.afterEach(async ({}, info) => {
  if (info.status === info.expectedStatus) return;
  for (const [index, page] of people().entries())
    await page?.screenshot({ path: info.outputPath(`person-${index}.png`), fullPage: true });
});

test('four people sign in with a password and a one-time code', async ({ browser }) => {
  admin = await openPerson(browser, complaints, 'admin');
  operator = await openPerson(browser, complaints, 'operateur');
  const first = await openPerson(browser, complaints, 'valideur-1');
  const second = await openPerson(browser, complaints, 'valideur-2');
  approvers = [first, second];
});

test('two approvers enrol a passkey each, and it waits for the next policy document', async () => {
  for (const page of approvers) {
    await plugAuthenticator(page);
    await openPart(page, 'Clés des approbateurs');
    await page.getByRole('button', { name: 'Enrôler ma clé' }).click();
    await expect(page.getByRole('paragraph').filter({ hasText: 'Clé enrôlée' })).toBeVisible();
  }
  await expectKeys(approvers[1], 'attend le prochain document');
});

test('the administrator publishes the policy document that root keys signed offline', async () => {
  const folder = path.join(findInstallation().stateDir, 'offline');
  await mkdir(folder, { recursive: true });
  await createRootKeys(folder, { count: 3, threshold: 2 });
  await openPart(admin, 'Document de politique');
  await admin
    .getByRole('textbox', { name: 'Clés racines' })
    .fill(await readFile(path.join(folder, 'root-keys.json'), 'utf8'));
  await admin.getByLabel('Combien de clés racines').fill('2');
  await admin.getByRole('button', { name: 'Composer le document' }).click();
  const [download] = await Promise.all([
    admin.waitForEvent('download'),
    admin.getByRole('button', { name: 'Télécharger le fichier à signer' }).click(),
  ]);
  const draft = path.join(folder, 'draft.json');
  await download.saveAs(draft);
  const { envelope, words } = openPolicy(JSON.parse(await readFile(draft, 'utf8')));
  await expect(admin.getByText(words.join(' · '))).toBeVisible();
  const keys = [1, 2].map((number) => path.join(folder, `root-${number}.pem`));
  const signed = path.join(folder, 'signed.json');
  await writeFile(signed, JSON.stringify(await signPolicyWith(envelope, keys)));
  await admin.getByLabel('Déposer le fichier signé').setInputFiles(signed);
  await expect(admin.getByText('époque 1')).toBeVisible();
  await openPart(approvers[0], 'Clés des approbateurs');
  await expectKeys(approvers[0], 'depuis l’époque 1');
});

test('two servers enrol with the line that the administrator copies', async () => {
  test.setTimeout(300_000);
  const { debPath } = readInstalled();
  const lines: string[] = [];
  await openPart(admin, 'Enrôlement');
  for (const name of [goodHost, brokenHost]) {
    await admin.getByRole('main').getByRole('button', { name: 'Enrôler un serveur' }).first().click();
    const dialog = admin.getByRole('dialog');
    await dialog.getByLabel('Note').fill(name);
    await dialog.getByRole('button', { name: 'Émettre le jeton' }).click();
    lines.push(await dialog.locator('code').innerText());
    await dialog.getByRole('button', { name: 'Fermer' }).last().click();
  }
  await Promise.all(
    [goodHost, brokenHost].map(async (name, index) => {
      const done = await openMachine(name).installAgent({ debPath, enrolLine: lines[index] ?? '' });
      expect(done.exitCode, done.stderr).toBe(0);
    }),
  );
  // The lists of both people fill by themselves: nobody reloads.
  await expect(admin.getByText('Utilisé')).toHaveCount(2);
  await openSection(operator, 'Parc');
  for (const name of [goodHost, brokenHost])
    await expect(operator.getByRole('row', { name })).toContainText('de sécurité', { timeout: 120_000 });
});

test('the operator writes a maintenance policy', async () => {
  await openPart(operator, 'Politiques de maintenance');
  await operator.getByRole('button', { name: 'Nouvelle politique' }).first().click();
  const dialog = operator.getByRole('dialog');
  await dialog.getByLabel('Nom', { exact: true }).fill('Mise à jour mensuelle');
  await dialog.getByLabel('Toutes les mises à jour.').check();
  await dialog.getByLabel('Redémarrage dans tous les cas.').check();
  await dialog.getByLabel('Ce qu’il faut vérifier').fill('nginx.service');
  await dialog.getByRole('button', { name: 'Ajouter' }).click();
  await dialog.getByLabel('Au vert avant (s)').fill('30');
  await dialog.getByLabel('Espace libre minimal').fill('0.5');
  await dialog.getByLabel('Serveurs dans la première vague').fill('2');
  await dialog.getByLabel('Seuil d’échec').fill('100');
  await dialog.getByLabel('Pause entre les vagues').fill('0');
  await dialog.getByRole('button', { name: 'Enregistrer' }).click();
  await expect(dialog).toBeHidden();
  await expect(operator.getByRole('main')).toContainText('Mise à jour mensuelle');
});

test('the operator reads the preview, makes the plan and asks for its release', async () => {
  await openSection(operator, 'Plans');
  await operator.getByRole('link', { name: 'Nouveau plan' }).first().click();
  await operator.getByLabel('Titre').fill('Mises à jour de novembre');
  for (const name of [goodHost, brokenHost]) await operator.getByRole('checkbox', { name }).check();
  await operator.getByLabel('Début de la fenêtre').fill(localField(Date.now() - 60_000));
  await operator.getByLabel('Fin de la fenêtre').fill(localField(Date.now() + 3 * 3600_000));
  await operator.getByRole('button', { name: 'Voir l’aperçu' }).click();
  await expect(operator.getByRole('heading', { name: 'En résumé' })).toBeVisible();
  await expect(
    operator.getByText('Retour arrière par point de retour, moins de 120 s').first(),
  ).toBeVisible();
  await operator.getByRole('button', { name: 'Créer le plan' }).click();
  await operator.getByRole('button', { name: 'Demander la validation' }).click();
  const dialog = operator.getByRole('dialog');
  await dialog.getByRole('textbox').fill('Mises à jour du mois');
  await dialog.getByRole('button', { name: 'Demander la validation' }).click();
  await expect(operator.getByRole('heading', { level: 1, name: 'Valider un plan' })).toBeVisible();
});

test('two people compare the same six words and sign the very bytes', async () => {
  const words: string[] = [];
  for (const page of approvers) {
    await openSection(page, 'Validations');
    await page.getByRole('link', { name: 'Mises à jour de novembre' }).click();
    await expect(page.getByText('vérifications faites par votre navigateur concordent')).toBeVisible();
    words.push(await page.getByRole('list', { name: 'Six mots à comparer' }).innerText());
    await page.getByRole('button', { name: 'Signer', exact: true }).click();
    await expect(
      page.getByRole('paragraph').filter({ hasText: 'Votre signature est enregistrée.' }),
    ).toBeVisible();
  }
  expect(words[0]).toBe(words[1]);
});

test('everybody watches the run live: one server ends updated, the broken one goes back and says why', async () => {
  test.setTimeout(600_000);
  await openSection(operator, 'Exécutions');
  await operator
    .getByRole('link', { name: /Mises à jour de novembre|Exécution 1/ })
    .first()
    .click();
  await expect(operator.getByRole('heading', { level: 1, name: /^Exécution \d/ })).toBeVisible();
  runUrl = operator.url();
  const main = operator.getByRole('main');
  await expect(main.getByRole('link', { name: goodHost })).toContainText('Réussi', { timeout: 400_000 });
  await expect(main.getByRole('link', { name: brokenHost })).toContainText('Revenu en arrière', {
    timeout: 300_000,
  });
  await expect(main.getByText('Terminée avec échecs', { exact: true })).toBeVisible();
  await main.getByRole('link', { name: brokenHost }).click();
  await expect(main).toContainText('« aucune unité systemd en échec » a échoué après la mise à jour');
  await expect(
    main.getByRole('listitem').filter({ hasText: 'échoué le service nginx.service tourne' }).last(),
  ).toBeVisible();
  await expect(main).toContainText('Promesse tenue : moins de 120 s');
  await expect(main).toContainText('prouvé (identifiant de démarrage changé)');
  const served = await openMachine(brokenHost).exec('curl --silent --fail http://127.0.0.1/');
  expect(served.exitCode, served.stderr).toBe(0);
});

test('the audit log is verified by the page’s button', async () => {
  const [approver] = approvers;
  await openSection(approver, 'Journal d’audit');
  await approver.getByRole('button', { name: 'Vérifier tout' }).click();
  await expect(approver.getByText(/sont intactes/)).toBeVisible();
  await expect(approver.getByRole('main')).toContainText('exécution terminée');
});

test('the pages that the job filled have no accessibility fault', async () => {
  const addresses = await operator
    .getByRole('navigation', { name: 'Navigation principale' })
    .getByRole('link')
    .evaluateAll((links) => links.map((link) => link.getAttribute('href') ?? ''));
  const found: string[] = [];
  for (const address of [...addresses, new URL(runUrl).pathname]) {
    await operator.goto(new URL(address, runUrl).href);
    await operator.getByRole('heading', { level: 1 }).waitFor();
    await operator.waitForLoadState('networkidle');
    found.push(...(await findViolations(operator)).map((line) => `${address} ${line}`));
  }
  expect(found).toEqual([]);
});

test('no page complained, was refused anything or asked anybody else on the way', () => {
  expect(complaints.lines).toEqual([]);
});

test('a key for a machine is made only after a second factor shown again', async () => {
  const account = keepAccounts(findInstallation().stateDir).get('admin');
  if (account === undefined) throw new Error('nobody is called admin');
  await openPart(admin, 'Clés d’API');
  const askForKey = async (): Promise<void> => {
    await admin.getByRole('button', { name: 'Nouvelle clé d’API' }).first().click();
    await admin.getByLabel('À quoi sert-elle ?').fill('Supervision');
    await admin.getByRole('checkbox', { name: 'fleet.read' }).check();
    await admin.getByRole('button', { name: 'Créer la clé' }).click();
  };
  await askForKey();
  await admin.getByRole('button', { name: 'Confirmer mon identité' }).click();
  await admin.getByLabel('Code à usage unique').fill(totp(account.totpSecret, Date.now()));
  await admin.getByRole('button', { name: 'Se connecter' }).click();
  await expect(admin.getByRole('link', { name: 'Clés d’API', exact: true })).toBeVisible();
  await askForKey();
  await expect(admin.getByText('Copiez le secret maintenant')).toBeVisible();
});
