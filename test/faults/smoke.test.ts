import { afterAll, describe, expect, it } from 'vitest';
import { catalogue } from './catalogue.ts';
import { FaultRun } from './run.ts';

const run = new FaultRun({ seed: 1, isSmoke: true, say: () => undefined });

afterAll(() => run.close(), 60_000);

describe('with everything running, under load', () => {
  const daily = catalogue.filter(({ isSmoke }) => isSmoke === true);

  for (const fault of daily) {
    it(
      `every promise holds through ${fault.ids.join(', ')}: ${fault.title}`,
      { timeout: 300_000 },
      async () => {
        const { verdict, broken } = await run.live(fault);
        expect({ verdict, broken }).toEqual({ verdict: 'held', broken: [] });
      },
    );
  }
});
