import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createTestDatabase } from './database.ts';

const root = path.resolve(import.meta.dirname, '../..');
export const schemaFile = path.join(root, 'server/src/platform/schema.gen.ts');

/** The types of a database that all migrations have just made, as kysely-codegen writes them. */
export async function generateSchema(): Promise<string> {
  const database = await createTestDatabase();
  const out = path.join(tmpdir(), `atlas-schema-${process.pid}.ts`);
  try {
    execFileSync(
      process.execPath,
      [
        path.join(root, 'node_modules/kysely-codegen/dist/cli/bin.js'),
        ...['--dialect', 'postgres', '--url', database.ownerUrl, '--out-file', out, '--type-only-imports'],
        // The pools read 64-bit numbers as numbers and refuse those that do not fit.
        ...[
          '--type-mapping',
          '{"int8":"number"}',
          '--exclude-pattern',
          // Partitions are written and read through their tables.
          '*.(schema_migrations|metric_{samples,hours,days}_+([0-9]))',
          '--log-level',
          'error',
        ],
      ],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    return readFileSync(out, 'utf8').replace(/^export interface DB /m, 'export interface Database ');
  } finally {
    rmSync(out, { force: true });
    await database.drop();
  }
}

if (import.meta.main) writeFileSync(schemaFile, await generateSchema());
