import type { Clock } from './clock.ts';

interface GatherOptions<Question, Answer> {
  readonly clock: Pick<Clock, 'sleep'>;
  /** Answers many at once: one answer for each question, in their order. */
  readonly answer: (questions: readonly Question[]) => Promise<readonly Answer[]>;
}

interface Asked<Question, Answer> {
  readonly question: Question;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/** How long the first question waits for company, milliseconds: nobody notices it, and a fleet that comes back shares what it asks. */
const waitMs = 25;
const maxTogether = 500;

/**
 * Gathers what many ask for at nearly the same time, so that they share one transaction. When it fails, it fails for all
 * of them. No answer is kept: each was looked up after its question was asked.
 */
export function createGather<Question, Answer>(
  options: GatherOptions<Question, Answer>,
): (question: Question) => Promise<Answer> {
  const { clock, answer } = options;
  let waiting: Asked<Question, Answer>[] = [];
  const answerAll = async (asked: readonly Asked<Question, Answer>[]): Promise<void> => {
    try {
      const answers = await answer(asked.map(({ question }) => question));
      for (const [index, { resolve }] of asked.entries()) resolve(answers[index] as Answer);
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  };
  const leave = (): void => {
    const asked = waiting;
    waiting = [];
    if (asked.length > 0) void answerAll(asked);
  };
  return (question) =>
    new Promise((resolve, reject) => {
      waiting.push({ question, resolve, reject });
      if (waiting.length === maxTogether) leave();
      else if (waiting.length === 1) void clock.sleep(waitMs).then(leave);
    });
}
