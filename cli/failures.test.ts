import { afterEach, describe, expect, it } from 'vitest';
import { ApiProblem } from './api.ts';
import { createContext } from './context.ts';
import { exitCodes } from './exitCodes.ts';
import { CommandError, guarded } from './failures.ts';

afterEach(() => (process.exitCode = undefined));

/** What a person reads, and the exit status, when an action ends like this. */
async function outcome(error: unknown, language: 'fr' | 'en'): Promise<{ said: string; exitCode: unknown }> {
  const context = createContext(['--lang', language], {});
  let said = '';
  const spoken = {
    ...context,
    fail: (wrong: unknown, exitCode?: number) => {
      const both =
        wrong instanceof CommandError ? `${context.text(wrong.text)}\n${wrong.detail}` : String(wrong);
      said = both;
      process.exitCode = exitCode;
    },
  };
  await guarded(spoken, () => Promise.reject(error as Error))();
  return { said, exitCode: process.exitCode };
}

const problem = { type: 'about:blank', title: 'x', retryable: false, requestId: 'r-1' };

describe('what goes wrong between a terminal and a server', () => {
  it('is told with its meaning, its remedy, the fields at fault and the request’s id', async () => {
    const fields = [{ path: '/body/reason', rule: 'minLength', message: 'is too short' }];
    const refused = new ApiProblem({ ...problem, status: 400, code: 'invalid_request', fields });
    expect(await outcome(refused, 'fr')).toEqual({
      said: 'Un paramètre ou un champ n’a pas la forme attendue. Corrigez les champs que `fields` nomme.\n  /body/reason: is too short\n  invalid_request · 400 · r-1',
      exitCode: exitCodes.failed,
    });
  });

  it('ends with a status of its own when sign-in or a right is missing', async () => {
    const forbidden = await outcome(new ApiProblem({ ...problem, status: 403, code: 'forbidden' }), 'en');
    expect(forbidden.exitCode).toBe(exitCodes.refused);
    expect(forbidden.said).toContain('forbidden · 403');
  });

  it('names the cause when nothing answers', async () => {
    const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
    const silent = await outcome(new TypeError('fetch failed', { cause }), 'en');
    expect(silent.exitCode).toBe(exitCodes.notRunning);
    expect(silent.said).toContain('ECONNREFUSED');
  });
});
