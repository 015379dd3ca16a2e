import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Acknowledgements } from './commands.acknowledgements.ts';

let sent: [string, number][];
let acknowledgements: Acknowledgements;

beforeEach(() => {
  vi.useFakeTimers();
  sent = [];
  acknowledgements = new Acknowledgements((agentId, upTo) => sent.push([agentId, upTo]));
});

afterEach(() => vi.useRealTimers());

describe('acknowledgements', () => {
  it('are sent a moment later, the newest for each agent', () => {
    acknowledgements.add('a', 1);
    acknowledgements.add('b', 4);
    acknowledgements.add('a', 2);
    vi.advanceTimersByTime(999);
    expect(sent).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(sent).toEqual([
      ['a', 2],
      ['b', 4],
    ]);
    acknowledgements.add('a', 3);
    vi.advanceTimersByTime(1_000);
    expect(sent.at(-1)).toEqual(['a', 3]);
  });

  it('travel at once with something else for the agent, and then not again', () => {
    acknowledgements.add('a', 1);
    acknowledgements.sendTo('a');
    acknowledgements.sendTo('a');
    vi.advanceTimersByTime(2_000);
    expect(sent).toEqual([['a', 1]]);
  });

  it('are not sent on a connection that began after them', () => {
    acknowledgements.add('a', 1);
    acknowledgements.forget('a');
    vi.advanceTimersByTime(2_000);
    expect(sent).toEqual([]);
  });
});
