import { readFile, writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { StackError } from '../../stack/text.ts';
import type { CliContext } from '../context.ts';
import { guarded } from '../failures.ts';
import {
  createRootKeys,
  openPolicy,
  readPolicyFile,
  signPolicyWith,
  type OpenedPolicy,
  type RootKeys,
} from '../policyDocument.ts';
import { connect, findTenant, withTenant } from '../serverAccess.ts';
import type { ServerFlags } from '../serverAccess.ts';

/** Shows what a document says, in words: what a holder of a root key reads before signing. */
function describe(context: CliContext, { document, envelope, sha256, words }: OpenedPolicy): void {
  const { thresholds, caps } = document;
  context.say([
    `Document de politique, époque ${document.epoch}`,
    `Policy document, epoch ${document.epoch}`,
  ]);
  context.say([`  client            ${document.tenant}`, `  tenant            ${document.tenant}`]);
  context.say([
    `  clés racines      ${document.rootKeys.length}, seuil ${document.rootThreshold}`,
    `  root keys         ${document.rootKeys.length}, threshold ${document.rootThreshold}`,
  ]);
  for (const key of document.approvers) {
    const line = `${key.personName} · ${key.kind} · ${key.custody} · ${key.classes.join(' ')} · ${key.keyId.slice(0, 16)}`;
    context.say([`  approbateur       ${line}`, `  approver          ${line}`]);
  }
  const needed = `R1 ${thresholds.R1} · R2 ${thresholds.R2} · R3 ${thresholds.R3}`;
  context.say([`  signatures        ${needed}`, `  signatures        ${needed}`]);
  context.say([
    `  plafonds          ${caps.targetsPerRelease} hôtes par validation, ${caps.restartsPer24h} redémarrages en 24 h`,
    `  caps              ${caps.targetsPerRelease} hosts a release, ${caps.restartsPer24h} restarts in 24 h`,
  ]);
  const origins = document.origins.join(', ');
  context.say([`  signé depuis      ${origins}`, `  signed from       ${origins}`]);
  context.say(`  SHA-256           ${sha256}`);
  context.say([`  mots              ${words.join(' ')}`, `  words             ${words.join(' ')}`]);
  const count = envelope.signatures.length;
  context.say([`  signatures jointes ${count}`, `  signatures so far ${count}`]);
}

async function initRoot(
  context: CliContext,
  flags: { dir: string; keys: string; threshold: string },
): Promise<void> {
  const [count, threshold] = [Number(flags.keys), Number(flags.threshold)];
  const fits =
    Number.isInteger(count) &&
    Number.isInteger(threshold) &&
    threshold >= 1 &&
    threshold <= count &&
    count <= 9;
  if (!fits)
    throw new StackError([
      'de 1 à 9 clés, seuil de 1 au nombre de clés',
      '1 to 9 keys, threshold from 1 to their number',
    ]);
  const made = await createRootKeys(flags.dir, { count, threshold });
  context.say([
    `${count} clés racines faites dans ${flags.dir}, seuil ${threshold}. Garde : logicielle.\n` +
      'Donnez un fichier root-N.pem à chaque détenteur, sur un support hors ligne, et effacez-les d’ici.',
    `${count} root keys made in ${flags.dir}, threshold ${threshold}. Custody: software.\n` +
      'Give one root-N.pem file to each holder, on an offline medium, and erase them here.',
  ]);
  context.answer(made);
}

async function draft(
  context: CliContext,
  flags: ServerFlags & { rootKeys?: string; remove?: string[]; out: string },
): Promise<void> {
  const roots =
    flags.rootKeys === undefined ? {} : (JSON.parse(await readFile(flags.rootKeys, 'utf8')) as RootKeys);
  const body = { removeKeyIds: flags.remove ?? [], ...roots };
  const api = connect(context, flags);
  const params = { tenantId: await findTenant(api, flags) };
  const made = await api.call('draftPolicyDocument', { params, body });
  await writeFile(flags.out, `${JSON.stringify(made, null, 2)}\n`);
  describe(context, openPolicy(made));
  context.answer(made);
}

async function show(context: CliContext, file: string): Promise<void> {
  const opened = await readPolicyFile(file);
  describe(context, opened);
  const { document, sha256, words } = opened;
  context.answer({ document, sha256, words, signatures: opened.envelope.signatures.length });
}

async function signFile(
  context: CliContext,
  file: string,
  flags: { key: string[]; out: string },
): Promise<void> {
  const opened = await readPolicyFile(file);
  const envelope = await signPolicyWith(opened.envelope, flags.key);
  await writeFile(flags.out, `${JSON.stringify(envelope, null, 2)}\n`);
  describe(context, { ...opened, envelope });
  context.answer({ out: flags.out, sha256: opened.sha256, signatures: envelope.signatures.length });
}

async function publish(context: CliContext, file: string, flags: ServerFlags): Promise<void> {
  const { envelope } = await readPolicyFile(file);
  const api = connect(context, flags);
  const params = { tenantId: await findTenant(api, flags) };
  const state = await api.call('publishPolicyDocument', { params, body: { envelope } });
  context.say([`Époque ${state.epoch} publiée.`, `Epoch ${state.epoch} published.`]);
  context.answer({ epoch: state.epoch, sha256: state.documentSha256 });
}

/** `policy …`: the customer's root keys, made and used offline, and the documents that they sign. */
export function registerPolicy(program: Command, context: CliContext): void {
  const policy = program
    .command('policy')
    .description(
      context.text([
        'document de politique : clés racines hors ligne, signature, publication',
        'policy document: offline root keys, signing, publishing',
      ]),
    );
  policy
    .command('init-root')
    .description(context.text(['fait les clés racines du client', 'makes the customer’s root keys']))
    .requiredOption('--dir <dir>', context.text(['dossier à remplir', 'directory to fill']))
    .option('--keys <n>', context.text(['nombre de clés', 'number of keys']), '5')
    .option('--threshold <n>', context.text(['signatures nécessaires', 'signatures needed']), '3')
    .action(
      guarded(context, (flags: { dir: string; keys: string; threshold: string }) => initRoot(context, flags)),
    );
  withTenant(policy.command('draft'), context)
    .description(context.text(['compose le document suivant', 'composes the next document']))
    .requiredOption('--out <file>', context.text(['fichier à écrire', 'file to write']))
    .option(
      '--root-keys <file>',
      context.text(['root-keys.json, pour le premier', 'root-keys.json, for the first one']),
    )
    .option('--remove <keyId...>', context.text(['clés à retirer', 'keys to remove']))
    .action(
      guarded(context, (flags: ServerFlags & { rootKeys?: string; remove?: string[]; out: string }) =>
        draft(context, flags),
      ),
    );
  policy
    .command('show <file>')
    .description(
      context.text(['dit ce qu’un document contient, sans réseau', 'says what a document holds, offline']),
    )
    .action(guarded(context, (file: string) => show(context, file)));
  policy
    .command('sign <file>')
    .description(context.text(['ajoute des signatures, sans réseau', 'adds signatures, offline']))
    .requiredOption(
      '--key <file...>',
      context.text(['clé racine, une ou plusieurs', 'root key, one or more']),
    )
    .requiredOption('--out <file>', context.text(['fichier à écrire', 'file to write']))
    .action(
      guarded(context, (file: string, flags: { key: string[]; out: string }) =>
        signFile(context, file, flags),
      ),
    );
  withTenant(policy.command('publish <file>'), context)
    .description(context.text(['publie le document signé', 'publishes the signed document']))
    .action(guarded(context, (file: string, flags: ServerFlags) => publish(context, file, flags)));
}
