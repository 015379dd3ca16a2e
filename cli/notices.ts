import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

interface LockEntry {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
}

interface Component {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly text: string;
}

const licenceFile = /^(licen[cs]e|copying)(\.|-|$)/i;

function licenceText(folder: string): string {
  if (!existsSync(folder)) return '';
  const file = readdirSync(folder)
    .sort()
    .find((name) => licenceFile.test(name));
  return file === undefined
    ? ''
    : readFileSync(path.join(folder, file), 'utf8').replaceAll('\r\n', '\n').trim();
}

/** Every package of the lockfile that ships with the product or its web pages, by name. */
export function listComponents(root: string): Component[] {
  const lock = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, LockEntry>;
  };
  const seen = new Map<string, Component>();
  for (const [where, entry] of Object.entries(lock.packages)) {
    const at = where.lastIndexOf('node_modules/');
    if (at < 0 || entry.version === undefined) continue;
    const name = where.slice(at + 'node_modules/'.length);
    const key = `${name}@${entry.version}`;
    if (seen.has(key)) continue;
    const license = entry.license ?? 'see the text below';
    seen.set(key, { name, version: entry.version, license, text: licenceText(path.join(root, where)) });
  }
  return [...seen.values()].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/** THIRD-PARTY-NOTICES.md: a table, then each distinct licence text once with the packages under it. */
export function renderNotices(root: string): string {
  const components = listComponents(root);
  const byText = new Map<string, string[]>();
  for (const { name, version, text } of components) {
    if (text === '') continue;
    byText.set(text, [...(byText.get(text) ?? []), `${name} ${version}`]);
  }
  const rows = components.map(({ name, version, license }) => `| ${name} | ${version} | ${license} |`);
  const texts = [...byText].map(([text, names]) => `## ${names.join(', ')}\n\n\`\`\`text\n${text}\n\`\`\`\n`);
  return [
    '# Third-party notices\n',
    'Generated from the lockfile by `./atlas gen`. Programs fetched at installation (Node, Keycloak, PostgreSQL, Redis) carry their own licences.\n',
    '| package | version | licence |\n|---|---|---|',
    ...rows,
    '',
    ...texts,
  ].join('\n');
}
