import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const root = path.resolve(import.meta.dirname, '..');
const pages = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => file !== '' && file !== 'THIRD-PARTY-NOTICES.md' && existsSync(path.join(root, file)));

function read(file: string): string {
  return readFileSync(path.join(root, file), 'utf8');
}

/** Anchors of a page, as GitHub and others make them from its headings. */
function anchorsOf(file: string): string[] {
  return [...read(file).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

/** Links and images of a page that lead nowhere, as `page -> target`. */
function deadLinks(file: string): string[] {
  const targets = [...read(file).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
  return targets
    .filter((target) => !/^[a-z]+:/.test(target))
    .filter((target) => {
      const [place = '', anchor] = target.split('#');
      const page = place === '' ? file : path.join(path.dirname(file), decodeURIComponent(place));
      if (!existsSync(path.join(root, page))) return true;
      return anchor !== undefined && page.endsWith('.md') && !anchorsOf(page).includes(anchor);
    })
    .map((target) => `${file} -> ${target}`);
}

describe('the documents', () => {
  it('have no link that leads nowhere', () => {
    expect(pages.length).toBeGreaterThan(10);
    expect(pages.flatMap(deadLinks)).toEqual([]);
  });
});

describe('the table of requirements', () => {
  const rows = read('docs/traceability.md')
    .split('\n')
    .map((line) => line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '')))
    .filter(([id = '']) => /^([ACT]-\d\d|I\d+)$/.test(id));
  const pathsIn = (cell = ''): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, named = '']) => named);

  it('has every requirement and every invariant of this version once', () => {
    const wanted = [
      ...[
        'A-02',
        'A-06',
        'A-09',
        'A-10',
        'A-11',
        'A-12',
        'A-13',
        'A-15',
        'A-16',
        'A-17',
        'A-18',
        'A-19',
        'A-20',
        'A-21',
        'A-22',
      ],
      ...['T-01', 'T-02', 'T-03', 'T-07', 'T-08', 'T-10', 'T-11', 'T-13', 'C-01', 'C-02', 'C-03', 'A-30'],
      ...Array.from({ length: 14 }, (_, index) => `I${index + 1}`),
    ];
    expect(rows.map(([id]) => id)).toEqual(wanted);
  });

  it('names files that exist, code and at least one test for each', () => {
    const lost = rows.flatMap(([id, , where, proof]) =>
      [...pathsIn(where), ...pathsIn(proof)]
        .filter((file) => !existsSync(path.join(root, file)))
        .map((file) => `${id}: ${file}`),
    );
    expect(lost).toEqual([]);
    const unproved = rows.filter(
      ([, , where, proof]) =>
        pathsIn(where).length === 0 || !pathsIn(proof).some((file) => /\.(test|spec)\.ts$/.test(file)),
    );
    expect(unproved.map(([id]) => id)).toEqual([]);
  });
});
