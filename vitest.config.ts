import { defineConfig } from 'vitest/config';

/** Suites with machines, databases or browsers under them share two cores: one file at a time, or two that mostly wait. */
function suite(name: string, testTimeoutMs: number, files = 1) {
  return {
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      testTimeout: testTimeoutMs,
      hookTimeout: Math.max(testTimeoutMs, 60_000),
      fileParallelism: files > 1,
      maxWorkers: files,
      pool: 'forks' as const,
    },
  };
}

const unitRooms = '{contract,server,agent,cli,stack,lab,web,bench}/**/*.test.ts';

export default defineConfig({
  test: {
    cache: false,
    passWithNoTests: false,
    projects: [
      {
        test: {
          name: 'unit',
          include: [unitRooms, 'test/*.test.ts'],
          exclude: ['**/node_modules/**', '**/.atlas/**'],
          testTimeout: 60_000,
        },
      },
      suite('integration', 60_000),
      suite('coverage', 60_000),
      suite('conformance', 120_000),
      suite('simulation', 300_000),
      suite('faults', 300_000),
      suite('lab', 600_000, 2),
      suite('e2e', 600_000),
    ],
  },
});
