import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Command } from 'commander';
import { StackError } from '../../stack/text.ts';
import type { CliContext } from '../context.ts';
import { completeLockfile } from '../lockfile.ts';
import { runProgram } from '../suite.ts';

const documents = ['openapi.json', 'configuration.md', 'errors.md'];

/** `gen`: writes again what is made from the source. `gen --check` says which documents are no longer true. */
export function registerGen(program: Command, context: CliContext): void {
  program
    .command('gen')
    .description(
      context.text([
        'écrit de nouveau les fichiers générés : types de la base, OpenAPI, configuration, erreurs',
        'writes the generated files again: database types, OpenAPI, configuration, errors',
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
      await generate(context, 'server/src/gen.main.ts');
      context.answer({ written: documents });
    });
}

async function generate(context: CliContext, script: string, ...args: string[]): Promise<void> {
  const run = await runProgram(context.directories, [process.execPath, script, ...args], { quiet: true });
  if (run.exitCode !== 0)
    throw new StackError([`${script} a échoué`, `${script} failed`], { detail: run.output });
}

async function checkDocuments(context: CliContext): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'atlas-gen-'));
  try {
    await generate(context, 'server/src/gen.main.ts', folder);

    const docs = path.join(context.directories.root, 'docs');
    const stale = documents.filter(
      (name) => readOrEmpty(path.join(folder, name)) !== readOrEmpty(path.join(docs, name)),
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
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // never written yet
  }
}
