// Writes the documents that are made from the source: `node server/src/gen.main.ts FOLDER`.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { errorTexts } from '#contract/error-texts.ts';
import { errorCodes, type ErrorCode } from '#contract/errors.ts';
import { routes } from '#contract/routes.ts';
import { Environment } from './config.ts';
import { openApiDocument } from './platform/http/openapi.ts';

const notice = 'Made by `./atlas gen` from the source; a change here is lost.';

type Property = {
  type?: string;
  description?: string;
  default?: unknown;
  enum?: string[];
  minimum?: number;
  maximum?: number;
};

/** A cell of a Markdown table: a bar would end it. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

/** Form or unit of a value by the last word of its name; a new kind of variable must say its own here. */
const forms: Readonly<Record<string, string>> = {
  URL: 'URL',
  HOST: 'host name or IP address',
  NAMES: 'host names, separated by commas',
  FILE: 'path of a file',
  DIR: 'path of a folder',
  CLIENT: 'client id',
  ISSUER: 'URL',
  ROLE: 'words, separated by commas',
  USER: 'account name',
  FROM: 'mail address',
};

function formOf(name: string, { enum: values, minimum, maximum }: Property): string {
  if (values !== undefined) return values.join(', ');
  const last = name.split('_').at(-1) ?? '';
  const unit = { PORT: 'TCP port', S: 'seconds', DAYS: 'days' }[last];
  const form = unit === undefined ? forms[last] : `${unit}, ${minimum} to ${maximum}`;
  if (form === undefined) throw new Error(`${name}: gen.main.ts knows no form or unit for "${last}"`);
  return form;
}

function renderConfiguration(): string {
  const required = new Set<string>(Environment.required);
  const rows = Object.entries(Environment.properties as Record<string, Property>).map(([name, property]) => {
    const fallback = property.default;
    const byDefault =
      typeof fallback === 'string' && path.isAbsolute(fallback) ? path.relative(root, fallback) : fallback;
    const given =
      byDefault === undefined ? (required.has(name) ? '**required**' : '—') : `\`${String(byDefault)}\``;
    return `| \`${name}\` | ${cell(formOf(name, property))} | ${given} | ${cell(property.description ?? '')} |`;
  });
  return [
    '# Configuration',
    '',
    notice,
    '',
    '## Server',
    '',
    'Secrets are given as files (`…_FILE`), never as values. `./atlas up` sets all of them.',
    '',
    '| variable | form or unit | default | meaning |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

function errorTable(language: 0 | 1, head: string, [yes, no]: readonly [string, string]): string[] {
  const rows = Object.entries(errorCodes).map(([code, { status, retryable }]) => {
    const { meaning, remedy } = errorTexts[code as ErrorCode];
    const words = `${cell(meaning[language])} | ${cell(remedy[language])}`;
    return `| \`${code}\` | ${status} | ${retryable ? yes : no} | ${words} |`;
  });
  return [head, '|---|---|---|---|---|', ...rows, ''];
}

function renderErrors(): string {
  return [
    '# Errors of the API',
    '',
    `${notice} Bodies are problem details (RFC 9457) with \`code\`, \`requestId\`, \`retryable\` and, for bad input, \`fields\`. *Later* says whether the same request may succeed later without a change.`,
    '',
    ...errorTable(1, '| code | status | later | meaning | remedy |', ['yes', 'no']),
    '## Français',
    '',
    ...errorTable(0, '| code | état | plus tard | sens | remède |', ['oui', 'non']),
  ].join('\n');
}

const root = path.resolve(import.meta.dirname, '../..');
const folder = process.argv[2] ?? path.join(root, 'docs');
const manifest = readFileSync(path.join(root, 'package.json'), 'utf8');
const { version } = JSON.parse(manifest) as { version: string };
mkdirSync(folder, { recursive: true });
writeFileSync(
  path.join(folder, 'openapi.json'),
  `${JSON.stringify(openApiDocument({ routes, version }), null, 2)}\n`,
);
writeFileSync(path.join(folder, 'configuration.md'), renderConfiguration());
writeFileSync(path.join(folder, 'errors.md'), renderErrors());
