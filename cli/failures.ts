import { errorTexts } from '#contract/error-texts.ts';
import { StackError } from '../stack/text.ts';
import type { Text } from '../stack/text.ts';
import { ApiProblem } from './api.ts';
import type { CliContext } from './context.ts';
import { exitCodes } from './exitCodes.ts';

/** A failure with the exit status that it deserves. */
export class CommandError extends StackError {
  readonly exitCode: number;

  constructor(text: Text, exitCode: number, options: { detail?: string; cause?: unknown } = {}) {
    super(text, options);
    this.name = 'CommandError';
    this.exitCode = exitCode;
  }
}

function fromProblem({ problem }: ApiProblem): CommandError {
  const { code, status, detail, fields = [], requestId } = problem;
  // A newer server may know codes that this program does not.
  const { meaning, remedy } = (errorTexts as Partial<typeof errorTexts>)[code] ?? {
    meaning: [problem.title, problem.title],
    remedy: ['', ''],
  };
  const lines = [
    ...(detail === undefined ? [] : [`  ${detail}`]),
    ...fields.map((field) => `  ${field.path}: ${field.message}`),
    `  ${code} · ${status} · ${requestId}`,
  ];
  return new CommandError(
    [`${meaning[0]} ${remedy[0]}`.trim(), `${meaning[1]} ${remedy[1]}`.trim()],
    status === 401 || status === 403 ? exitCodes.refused : exitCodes.failed,
    { detail: lines.join('\n') },
  );
}

/** Nothing listens there, or the connection broke: fetch says only that it failed, its cause says why. */
function fromNetwork(error: TypeError): CommandError {
  const cause = error.cause instanceof Error ? error.cause : error;
  return new CommandError(
    [
      'le serveur ne répond pas ; vérifiez son adresse, et « ./atlas status » s’il est sur cette machine',
      'the server does not answer; check its address, and ./atlas status when it is on this machine',
    ],
    exitCodes.notRunning,
    { detail: `  ${(cause as NodeJS.ErrnoException).code ?? cause.message}`, cause: error },
  );
}

/** Runs an action; what goes wrong is said in the person's language and sets the exit status. */
export function guarded<A extends unknown[]>(context: CliContext, action: (...args: A) => Promise<void>) {
  return async (...args: A): Promise<void> => {
    try {
      await action(...args);
    } catch (error) {
      if (error instanceof ApiProblem) context.fail(fromProblem(error), fromProblem(error).exitCode);
      else if (error instanceof TypeError && error.message === 'fetch failed')
        context.fail(fromNetwork(error), exitCodes.notRunning);
      else context.fail(error, error instanceof CommandError ? error.exitCode : exitCodes.failed);
    }
  };
}
