import { appendFileSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Command } from 'commander';
import { StackError } from '../../stack/text.ts';
import { renderCommandVariables } from '../commandVariables.ts';
import type { CliContext } from '../context.ts';
import { completeLockfile } from '../lockfile.ts';
import { renderNotices } from '../notices.ts';
import { runProgram } from '../suite.ts';

/** Documents by their place in the repository. */
const documents = [
  'docs/openapi.json',
  'docs/configuration.md',
  'docs/errors.md',
  'docs/states.md',
  'THIRD-PARTY-NOTICES.md',
] as const;

/** `gen`: writes again what is made from the source. `gen --check` says which documents are no longer true. */
export function registerGen(program: Command, context: CliContext): void {
  program
    .command('gen')
    .description(
      context.text([
        'écrit de nouveau les fichiers générés : types de la base, OpenAPI, configuration, erreurs, états, licences',
        'writes the generated files again: database types, OpenAPI, configuration, errors, states, licences',
      ]),
    )
    .option(
      '--check',
      context.text(['compare les documents sans rien changer', 'compares the documents, changes nothing']),
    )
    .action(async (flags: { check?: boolean }) => {
      if (flags.check === true) return checkDocuments(context);
      completeLockfile(context.directories.root);
      await generate(context, 'test/harness/generate-schema.ts');
      await withFreshDocuments(context, (fresh) => {
        for (const name of documents) copyFileSync(fresh(name), path.join(context.directories.root, name));
      });
      context.answer({ written: documents });
    });
}

async function generate(context: CliContext, script: string, ...args: string[]): Promise<void> {
  const run = await runProgram(context.directories, [process.execPath, script, ...args], { quiet: true });
  if (run.exitCode !== 0)
    throw new StackError([`${script} a échoué`, `${script} failed`], { detail: run.output });
}

/** Writes every document into a folder that is gone afterwards. */
async function withFreshDocuments(
  context: CliContext,
  use: (fresh: (name: string) => string) => void,
): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'atlas-gen-'));
  const fresh = (name: string): string => path.join(folder, path.basename(name));
  try {
    await generate(context, 'server/src/gen.main.ts', folder);
    await generate(context, 'server/src/features/runs/states.main.ts', folder);
    appendFileSync(fresh('docs/configuration.md'), renderCommandVariables());
    writeFileSync(fresh('THIRD-PARTY-NOTICES.md'), renderNotices(context.directories.root));
    use(fresh);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function checkDocuments(context: CliContext): Promise<void> {
  return withFreshDocuments(context, (fresh) => {
    const stale = documents.filter(
      (name) => readOrEmpty(fresh(name)) !== readOrEmpty(path.join(context.directories.root, name)),
    );
    context.answer({ stale });
    if (stale.length === 0) return;
    const list = stale.join(', ');
    context.fail(
      new StackError([
        `à écrire de nouveau (./atlas gen) : ${list}`,
        `to be written again (./atlas gen): ${list}`,
      ]),
    );
  });
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // never written yet
  }
}
