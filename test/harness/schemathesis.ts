import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findDirectories } from '../../stack/directories.ts';
import { preparePython } from './foreignTools.ts';

const schemathesis = 'schemathesis==4.32.5';
/** Some boundaries take it minutes to think of; asked to stop, it still tells what it has tried. */
const patienceMs = 240_000;

interface Attempt {
  readonly baseUrl: string;
  readonly authorization: string;
  /** Values of path parameters: what exists is worth more than what is made up. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly excluded: readonly string[];
  /** Options that say what is tried, and for how long. */
  readonly options: readonly string[];
  readonly seed: number;
}

export interface Exchange {
  readonly method: string;
  readonly uri: string;
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

interface Har {
  readonly log: {
    readonly entries: readonly {
      readonly request: { readonly method: string; readonly url: string };
      readonly response: {
        readonly status: number;
        readonly headers: readonly { readonly name: string; readonly value: string }[];
        readonly content: { readonly text?: string };
      };
    }[];
  };
}

/** Every request that was made and what came back. */
async function readExchanges(file: string): Promise<Exchange[]> {
  const { log } = JSON.parse(await readFile(file, 'utf8')) as Har;
  return log.entries.map(({ request, response }) => ({
    method: request.method,
    uri: new URL(request.url).pathname,
    status: response.status,
    contentType: response.headers.find(({ name }) => name.toLowerCase() === 'content-type')?.value ?? '',
    body: response.content.text ?? '',
  }));
}

/** Lets schemathesis try the API that the document describes, good and bad input alike. */
export async function trySchema(
  attempt: Attempt,
): Promise<{ readonly output: string; readonly exchanges: readonly Exchange[] }> {
  const tools = path.join(findDirectories().cacheDir, 'schemathesis');
  await mkdir(tools, { recursive: true });
  await preparePython(tools, [schemathesis]);
  const folder = await mkdtemp(path.join(tmpdir(), 'atlas-schemathesis-'));
  try {
    const parameters = Object.entries(attempt.parameters).map(
      ([name, value]) => `"path.${name}" = "${value}"`,
    );
    await writeFile(path.join(folder, 'schemathesis.toml'), ['[parameters]', ...parameters, ''].join('\n'));
    const har = path.join(folder, 'exchanges.har');
    const args = [
      'run',
      `${attempt.baseUrl}/api/openapi.json`,
      ...['--url', attempt.baseUrl],
      ...['--header', `Authorization: ${attempt.authorization}`],
      ...['--checks', 'not_a_server_error,content_type_conformance'],
      ...attempt.options,
      ...['--request-timeout', '60'],
      ...['--seed', String(attempt.seed)],
      ...['--report', 'har', '--report-har-path', har],
      ...['--warnings', 'off', '--no-color', '--continue-on-failure', '--no-shrink'],
      ...attempt.excluded.flatMap((name) => ['--exclude-operation-id', name]),
    ];
    const child = spawn(path.join(tools, 'venv', 'bin', 'schemathesis'), args, { cwd: folder });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const timer = setTimeout(() => child.kill('SIGINT'), patienceMs);
    await new Promise((resolve) => child.once('close', resolve));
    clearTimeout(timer);
    return { output, exchanges: await readExchanges(har) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
