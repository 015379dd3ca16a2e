import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { IntlMessageFormat } from 'intl-messageformat';
import type { Plugin } from 'vite';

/** A text without arguments stays text; the others become the formatter's own tree. */
function compile(text: string): unknown {
  return text.includes('{') ? new IntlMessageFormat(text, 'fr').getAst() : text;
}

/** Parses the catalogues when they are bundled, so that the browser needs no message parser. */
export function compiledMessages(): Plugin {
  const parser = createRequire(createRequire(import.meta.url).resolve('intl-messageformat')).resolve(
    '@formatjs/icu-messageformat-parser/no-parser.js',
  );
  return {
    name: 'atlas-compiled-messages',
    enforce: 'pre',
    resolveId(source) {
      return source === '@formatjs/icu-messageformat-parser' ? parser : null;
    },
    async load(id) {
      if (!/\/messages\/(fr|en)\/[a-z-]+\.ts$/.test(id)) return null;
      const module = (await import(`${pathToFileURL(id).href}?at=${Date.now()}`)) as Record<
        string,
        Record<string, string>
      >;
      return Object.entries(module)
        .map(([name, texts]) => {
          const compiled = Object.entries(texts).map(([key, text]) => [key, compile(text)]);
          return `export const ${name} = ${JSON.stringify(Object.fromEntries(compiled))};`;
        })
        .join('\n');
    },
  };
}
