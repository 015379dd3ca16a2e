import { existsSync, globSync } from 'node:fs';
import path from 'node:path';
import { installMissing } from '../stack/distribution.ts';
import { listStackPrerequisites, listSuitePrerequisites } from '../stack/prerequisites.ts';
import type { Text } from '../stack/text.ts';
import { runChecks } from './checks.ts';
import type { CliContext } from './context.ts';
import { runPlaywright, runVitest } from './suite.ts';
import type { Totals } from './suite.ts';

export type Suite = {
  name: string;
  title: Text;
  /** Kinds of things it needs of the machine; installed before it runs. */
  needs: ('redis' | 'stack' | 'e2e' | 'lab' | 'conformance' | 'faults')[];
  hasTests: (root: string) => boolean;
  run: (context: CliContext) => Promise<Totals>;
};

function vitestSuite(name: string, title: Text, needs: Suite['needs']): Suite {
  return {
    name,
    title,
    needs,
    hasTests: (root) => globSync(`test/${name}/**/*.test.ts`, { cwd: root }).length > 0,
    run: (context) => runVitest(context.directories, name),
  };
}

const browserConfig = 'test/e2e/playwright.config.ts';

/** Every suite in the order of `./atlas test`: what answers fastest comes first. */
export const suites: Suite[] = [
  {
    name: 'check',
    title: [
      'mise en forme, règles, types, frontières, essais unitaires',
      'format, rules, types, fences, unit tests',
    ],
    needs: ['redis'],
    hasTests: () => true,
    run: (context) => runChecks(context),
  },
  vitestSuite('integration', ['vraies bases, vrai serveur', 'real databases, real server'], ['redis']),
  vitestSuite('coverage', ['chaque route, chaque table', 'every route, every table'], ['redis']),
  vitestSuite('simulation', ['simulation déterministe', 'deterministic simulation'], []),
  vitestSuite(
    'conformance',
    ['outils étrangers et normes', 'foreign tools and standards'],
    ['redis', 'conformance'],
  ),
  vitestSuite('faults', ['pannes provoquées', 'faults on purpose'], ['redis', 'faults']),
  vitestSuite('lab', ['vraies machines Debian', 'real Debian machines'], ['stack', 'lab']),
  {
    name: 'e2e',
    title: ['le navigateur devant les vrais services', 'the browser in front of the real services'],
    needs: ['stack', 'e2e', 'lab'],
    hasTests: (root) => existsSync(path.join(root, browserConfig)),
    run: (context) => runPlaywright(context.directories, browserConfig),
  },
];

/** Suites that are no part of the whole because another one contains them. */
export const partSuites: Suite[] = [
  {
    name: 'unit',
    title: ['essais unitaires', 'unit tests'],
    needs: ['redis'],
    hasTests: () => true,
    run: (context) => runVitest(context.directories, 'unit'),
  },
];

/** Installs what a suite needs of the distribution, after saying why. */
export async function prepareSuite(context: CliContext, suite: Suite): Promise<void> {
  const { directories } = context;
  const stack = listStackPrerequisites(directories);
  const needed = suite.needs.flatMap((need) => {
    if (need === 'stack') return stack;
    return need === 'redis' ? stack.filter((one) => one.name === 'Redis') : listSuitePrerequisites(need);
  });
  const missing = needed.filter((one) => !one.isPresent());
  await installMissing({ stateDir: directories.stateDir, missing, say: context.say });
}
