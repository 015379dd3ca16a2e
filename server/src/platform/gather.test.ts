import { describe, expect, it } from 'vitest';
import { createGather } from './gather.ts';

function gatherWith(answer: (questions: readonly number[]) => Promise<readonly number[]>) {
  let wake = (): void => undefined;
  const sleep = (): Promise<void> => new Promise((resolve) => (wake = resolve));
  return { ask: createGather({ clock: { sleep }, answer }), wake: () => wake() };
}

describe('a gathering', () => {
  it('answers all who asked meanwhile by one call, each with his own answer', async () => {
    const calls: (readonly number[])[] = [];
    const { ask, wake } = gatherWith((questions) => {
      calls.push(questions);
      return Promise.resolve(questions.map((one) => one * 10));
    });
    const answers = Promise.all([ask(1), ask(2), ask(3)]);
    wake();
    expect(await answers).toEqual([10, 20, 30]);
    expect(calls).toEqual([[1, 2, 3]]);
  });

  it('looks up again for who asks after it has left', async () => {
    let state = 1;
    const { ask, wake } = gatherWith((questions) => Promise.resolve(questions.map(() => state)));
    const first = ask(0);
    wake();
    state = 2;
    expect(await first).toBe(2);
    state = 3;
    const second = ask(0);
    wake();
    expect(await second).toBe(3);
  });

  it('does not wait once it is full', async () => {
    const sizes: number[] = [];
    const { ask, wake } = gatherWith((questions) => {
      sizes.push(questions.length);
      return Promise.resolve(questions);
    });
    const answers = Promise.all(Array.from({ length: 501 }, (_, index) => ask(index)));
    wake();
    expect((await answers).at(-1)).toBe(500);
    expect(sizes).toEqual([500, 1]);
  });

  it('fails for all of them, and not for the next', async () => {
    let fails = true;
    const { ask, wake } = gatherWith((questions) =>
      fails ? Promise.reject(new Error('no connection')) : Promise.resolve(questions),
    );
    const answers = Promise.allSettled([ask(1), ask(2)]);
    wake();
    expect((await answers).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    fails = false;
    const next = ask(3);
    wake();
    expect(await next).toBe(3);
  });
});
