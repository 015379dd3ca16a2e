import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Plugin } from 'vite';

const folder = path.resolve(import.meta.dirname, '../../contract');

/** True for data that holds no schema: lists of states, tables of transitions, names of media types. */
function isPlain(value: unknown): boolean {
  if (typeof value === 'function' || typeof value === 'symbol') return false;
  if (typeof value !== 'object' || value === null) return true;
  if (Object.hasOwn(value, '~kind')) return false;
  return Object.values(value).every(isPlain);
}

/**
 * Lets screens import the contract's lists and tables without its schemas: a module that builds schemas reaches
 * the browser as its plain data only, so that no validator is shipped. Modules of plain code stay as they are.
 */
export function contractData(): Plugin {
  const files = readdirSync(folder).filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'));
  return {
    name: 'atlas-contract-data',
    enforce: 'pre',
    resolveId(source) {
      const file = source.replace(/^#contract\//, '');
      return source.startsWith('#contract/') && files.includes(file) ? path.join(folder, file) : null;
    },
    async load(id) {
      if (path.dirname(id) !== folder) return null;
      if (!/from '(typebox|#contract\/schema\.ts)'/.test(readFileSync(id, 'utf8'))) return null;
      const exported = (await import(pathToFileURL(id).href)) as Record<string, unknown>;
      const lines = Object.entries(exported)
        .filter(([, value]) => isPlain(value))
        .map(([name, value]) => `export const ${name} = ${JSON.stringify(value)};`);
      return lines.join('\n');
    },
  };
}
