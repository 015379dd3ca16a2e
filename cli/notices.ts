import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

interface LockEntry {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
}
type Lock = Readonly<Record<string, LockEntry>>;

interface Component {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  /** The licence's text; empty for binaries of one processor, which are not the same on every machine. */
  readonly text: string;
}

/** Those on which the product runs. */
const processors = ['x64', 'arm64'];
const licenceFile = /^(licen[cs]e|copying)(\.|-|$)/i;

function licenceText(folder: string): string {
  if (!existsSync(folder)) return '';
  const file = readdirSync(folder)
    .sort()
    .find((name) => licenceFile.test(name));
  if (file === undefined) return '';
  return readFileSync(path.join(folder, file), 'utf8')
    .replace(/[^\S\n]+$/gm, '')
    .trim();
}

/** Packages that the web application's sources name: they are built into its pages. */
function listBundled(root: string): string[] {
  const found = new Set<string>();
  for (const file of globSync('web/src/**/*.{ts,svelte,css}', { cwd: root })) {
    if (file.endsWith('.test.ts')) continue;
    const text = readFileSync(path.join(root, file), 'utf8');
    for (const [, named = ''] of text.matchAll(/(?:from|import|@import)\s*\(?\s*['"]([^'"]+)['"]/g)) {
      const name = /^(@[^/]+\/[^/]+|[^./#@$][^/]*)/.exec(named)?.[1];
      if (name !== undefined) found.add(name);
    }
  }
  return [...found];
}

/** Where Node finds a package from a place in the lockfile, walking up as it does. */
function locate(lock: Lock, from: string, name: string): string | undefined {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))) {
    const place = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
    if (lock[place] !== undefined) return place;
    if (folder === '') return undefined;
  }
}

/** Places in the lockfile of all that is installed with the product or built into its pages. */
function listShipped(root: string, lock: Lock): string[] {
  const shipped = new Set(
    Object.keys(lock).filter((place) => place.includes('node_modules/') && lock[place]?.dev !== true),
  );
  const waiting = listBundled(root).flatMap((name) => locate(lock, '', name) ?? []);
  for (let place = waiting.pop(); place !== undefined; place = waiting.pop()) {
    if (shipped.has(place)) continue;
    shipped.add(place);
    const here = place;
    const names = Object.keys(lock[place]?.dependencies ?? {});
    waiting.push(...names.flatMap((name) => locate(lock, here, name) ?? []));
  }
  return [...shipped].filter((place) => {
    const { os, cpu } = lock[place] ?? {};
    return (os?.includes('linux') ?? true) && (cpu?.some((one) => processors.includes(one)) ?? true);
  });
}

function listComponents(root: string): Component[] {
  const { packages } = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')) as {
    packages: Lock;
  };
  const components = new Map<string, Component>();
  for (const place of listShipped(root, packages)) {
    const { version = '', license = 'see its package', cpu } = packages[place] ?? {};
    const name = place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length);
    const text = cpu === undefined ? licenceText(path.join(root, place)) : '';
    components.set(`${name} ${version}`, { name, version, license, text });
  }
  return [...components].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, component]) => component);
}

/** THIRD-PARTY-NOTICES.md: a table, then each distinct licence text once with the packages under it. */
export function renderNotices(root: string): string {
  const components = listComponents(root);
  const byText = new Map<string, string[]>();
  for (const { name, version, text } of components) {
    if (text !== '') byText.set(text, [...(byText.get(text) ?? []), `${name} ${version}`]);
  }
  const rows = components.map(({ name, version, license }) => `| ${name} | ${version} | ${license} |`);
  const texts = [...byText].map(([text, names]) => `## ${names.join(', ')}\n\n\`\`\`text\n${text}\n\`\`\`\n`);
  return [
    '# Third-party notices\n',
    'Made by `./atlas gen` from the lockfile: what is installed with the product on Linux, and what is built into its pages. Programs that are fetched at installation (Node, Keycloak, PostgreSQL, Redis, a Java runtime) carry their own licences.\n',
    '| package | version | licence |\n|---|---|---|',
    ...rows,
    '',
    ...texts,
  ].join('\n');
}
