// Writes the documents that are made from the source: `node server/src/gen.main.ts FOLDER`.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { errorCodes } from '#contract/errors.ts';
import { routes } from '#contract/routes.ts';
import { Environment } from './config.ts';
import { openApiDocument } from './platform/http/openapi.ts';

const notice = 'Made by `./atlas gen` from the source; a change here is lost.';

type Property = { type?: string; description?: string; default?: unknown; enum?: string[] };

/** A cell of a Markdown table: a bar would end it. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function renderConfiguration(): string {
  const required = new Set<string>(Environment.required);
  const rows = Object.entries(Environment.properties as Record<string, Property>).map(([name, property]) => {
    const byDefault =
      typeof property.default === 'string' ? path.basename(property.default) : property.default;
    const given =
      byDefault === undefined ? (required.has(name) ? '**required**' : '—') : `\`${String(byDefault)}\``;
    const values = property.enum === undefined ? '' : ` (${property.enum.join(', ')})`;
    return `| \`${name}\` | ${property.type ?? ''} | ${given} | ${cell((property.description ?? '') + values)} |`;
  });
  return [
    '# Configuration of the server',
    '',
    `${notice} Secrets are given as files (\`…_FILE\`), never as values. \`./atlas up\` sets all of them.`,
    '',
    '| variable | type | default | meaning |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

function renderErrors(): string {
  const rows = Object.entries(errorCodes).map(
    ([code, error]) => `| \`${code}\` | ${error.status} | ${error.retryable ? 'yes' : 'no'} |`,
  );
  return [
    '# Errors of the API',
    '',
    `${notice} Bodies are RFC 9457 problem details with \`code\` and \`requestId\`.`,
    '',
    '| code | status | the same request may succeed later |',
    '|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

const folder = process.argv[2] ?? path.resolve(import.meta.dirname, '../../docs');
const manifest = readFileSync(path.resolve(import.meta.dirname, '../../package.json'), 'utf8');
const { version } = JSON.parse(manifest) as { version: string };
mkdirSync(folder, { recursive: true });
writeFileSync(
  path.join(folder, 'openapi.json'),
  `${JSON.stringify(openApiDocument({ routes, version }), null, 2)}\n`,
);
writeFileSync(path.join(folder, 'configuration.md'), renderConfiguration());
writeFileSync(path.join(folder, 'errors.md'), renderErrors());
