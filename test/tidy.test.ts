import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { listUnlisted } from '../cli/lockfile.ts';
import type { Lockfile } from '../cli/lockfile.ts';

const root = path.resolve(import.meta.dirname, '..');

/** Everything that is or would be committed; deleted but not yet committed files are left out. */
const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
  maxBuffer: 64 << 20,
})
  .split('\0')
  .filter((file) => file !== '' && existsSync(path.join(root, file)));

const binary = /\.(png|jpe?g|gif|ico|woff2?|pdf|gz|zst|tar|deb|der|bin)$/;
const texts = files.filter((file) => !binary.test(file));
const sources = texts.filter((file) => /\.(ts|mts|mjs|js|svelte|sh|sql|py|ps1|c|go)$/.test(file));

function read(file: string): string {
  return readFileSync(path.join(root, file), 'utf8');
}

/** Lines of the given files that match, as `file:line: text`. */
function find(pattern: RegExp, among: string[]): string[] {
  return among.flatMap((file) =>
    read(file)
      .split('\n')
      .flatMap((line, index) =>
        pattern.test(line) ? [`${file}:${index + 1}: ${line.trim().slice(0, 120)}`] : [],
      ),
  );
}

function countLines(file: string): number {
  return read(file).split('\n').length - 1;
}

// Patterns are written so that this file does not match itself.
describe('sizes', () => {
  it('no source file is longer than 400 lines', () => {
    const long = sources.filter((file) => !file.endsWith('.gen.ts') && countLines(file) > 400);
    expect(long.map((file) => `${file}: ${countLines(file)}`)).toEqual([]);
  });

  it('no component is longer than 250 lines', () => {
    const long = sources.filter((file) => file.endsWith('.svelte') && countLines(file) > 250);
    expect(long.map((file) => `${file}: ${countLines(file)}`)).toEqual([]);
  });

  it('no committed file weighs more than 2 MiB', () => {
    const heavy = files.filter((file) => readFileSync(path.join(root, file)).length > 2 << 20);
    expect(heavy).toEqual([]);
  });
});

describe('names', () => {
  it('no folder is a drawer for anything', () => {
    const drawers = files.filter((file) =>
      /(^|\/)(shared|common|utils?|lib|helpers?)\//.test(path.dirname(file) + '/'),
    );
    expect(drawers).toEqual([]);
  });

  it('source files are named feature.role.ts in camelCase or kebab-case', () => {
    const odd = files.filter(
      (file) =>
        /^(contract|server|agent|cli|stack|lab)\/.*\.ts$/.test(file) &&
        !/^[a-z0-9][a-zA-Z0-9-]*(\.[a-z0-9][a-zA-Z0-9-]*)*\.ts$/.test(path.basename(file)),
    );
    expect(odd).toEqual([]);
  });

  it('the product is called ATLAS ORCHESTRATOR and nothing shorter', () => {
    expect(find(/\bOrchestr[a](?![a-z])/i, texts)).toEqual([]);
  });
});

describe('what must not be left in the tree', () => {
  it('no mark of unfinished work', () => {
    expect(find(/\b(TO[D]O|FIX[M]E|XX[X]|HAC[K])\b/, sources)).toEqual([]);
  });

  it('no skipped or focused test', () => {
    expect(find(/\b(it|test|describe|suite)\.(ski[p]|onl[y]|tod[o]|fixm[e])\b/, sources)).toEqual([]);
  });

  it('no path of the machine it was written on', () => {
    expect(find(/(^|[^a-zA-Z0-9_.])\/(w[o]rk|f[a]rm|tm[p]\/boot)(\/|\b)/, texts)).toEqual([]);
  });

  it('no host name of a package registry', () => {
    const hosts =
      /registry\.np[m]js|repo1?\.maven\.apach[e]|repo1\.mave[n]|deb\.debia[n]\.org|security\.debia[n]\.org|archive\.ubunt[u]|pypi\.or[g]|proxy\.golan[g]|static\.crate[s]/;
    expect(find(hosts, texts)).toEqual([]);
  });

  it('no private key or token', () => {
    expect(find(/-----BEGIN [A-Z ]*PRIVATE KE[Y]-----\s*$|\bgh[po]_[A-Za-z0-9]{30,}/, texts)).toEqual([]);
  });
});

describe('packages', () => {
  const lock = JSON.parse(read('package-lock.json')) as Lockfile;
  const entries = Object.entries(lock.packages).filter(([name]) => name !== '');

  it('the lockfile names no registry, and everything that Linux installs has an integrity', () => {
    const installed = entries.filter(
      ([, entry]) =>
        entry.optional !== true ||
        (entry.os?.includes('linux') && /^(x64|arm64)$/.test(entry.cpu?.[0] ?? '')),
    );
    expect(installed.length).toBeGreaterThan(100);
    expect(entries.filter(([, entry]) => entry.resolved !== undefined).map(([name]) => name)).toEqual([]);
    expect(installed.filter(([, entry]) => entry.integrity === undefined).map(([name]) => name)).toEqual([]);
  });

  it('the lockfile lists every optional package that it names, else npm ci refuses it (./atlas gen mends it)', () => {
    expect(listUnlisted(lock)).toEqual([]);
  });

  it('every version is pinned exactly', () => {
    const manifest = JSON.parse(read('package.json')) as Record<string, Record<string, string> | undefined>;
    const all = { ...manifest.dependencies, ...manifest.devDependencies };
    const loose = Object.entries(all).filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version));
    expect(loose).toEqual([]);
  });
});

describe('migrations', () => {
  it('are numbered 0001, 0002, … without a gap or a double', () => {
    const names = files
      .filter((file) => /^migrations\/[^/]+\.(sql|ts)$/.test(file))
      .map((file) => path.basename(file))
      .sort();
    const badlyNamed = names.filter((name) => !/^\d{4}_[a-z0-9_]+\.(sql|ts)$/.test(name));
    expect(badlyNamed).toEqual([]);
    const numbers = names.map((name) => Number(name.slice(0, 4)));
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  });
});
