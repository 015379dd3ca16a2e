import { readFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Plugin } from 'vite';

/** Gzip bytes of the JavaScript: what the page needs to start, and each later chunk. */
interface Limits {
  readonly firstLoad: number;
  readonly chunk: number;
}

const kilo = (bytes: number): string => `${(bytes / 1000).toFixed(1)} kB`;

/** Prints every chunk's gzip size against the budget at the end of a build, and fails the build above it. */
export function budget(limits: Limits): Plugin {
  return {
    name: 'atlas-budget',
    apply: 'build',
    writeBundle(options, bundle) {
      const folder = options.dir ?? '';
      const sizeOf = (file: string): number => gzipSync(readFileSync(path.join(folder, file))).length;
      const chunks = Object.values(bundle).filter((file) => file.type === 'chunk');
      const first = new Set<string>();
      const visit = (file: string): void => {
        if (first.has(file)) return;
        first.add(file);
        chunks.find((chunk) => chunk.fileName === file)?.imports.forEach(visit);
      };
      chunks.filter((chunk) => chunk.isEntry).forEach((chunk) => visit(chunk.fileName));
      const total = [...first].reduce((sum, file) => sum + sizeOf(file), 0);
      const later = chunks
        .filter((chunk) => !first.has(chunk.fileName))
        .map((chunk) => ({ name: chunk.name, bytes: sizeOf(chunk.fileName) }))
        .sort((a, b) => b.bytes - a.bytes);
      this.info(`first load ${kilo(total)} gzip of JavaScript (limit ${kilo(limits.firstLoad)})`);
      for (const { name, bytes } of later.slice(0, 8)) this.info(`chunk ${name} ${kilo(bytes)}`);
      const heavy = later.filter(({ bytes }) => bytes > limits.chunk).map(({ name }) => name);
      if (total > limits.firstLoad) this.error(`first load is ${kilo(total)}`);
      if (heavy.length > 0) this.error(`chunks above ${kilo(limits.chunk)}: ${heavy.join(', ')}`);
    },
  };
}
