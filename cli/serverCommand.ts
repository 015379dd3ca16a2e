import { spawn } from 'node:child_process';
import path from 'node:path';
import type { Directories } from '../stack/directories.ts';
import { keepPorts } from '../stack/ports.ts';
import { keepSecrets } from '../stack/secrets.ts';
import { createServerEnvironment } from '../stack/server.service.ts';

/**
 * Runs a command of the server's own program with this installation's configuration and returns what it printed.
 * `input` goes to its standard input: secrets never stand among the arguments. Throws with its last words when it fails.
 */
export async function serverCommand(
  directories: Directories,
  args: readonly string[],
  input = '',
): Promise<string> {
  const ports = await keepPorts(directories.stateDir);
  const environment = createServerEnvironment({
    directories,
    ports,
    secrets: keepSecrets(directories.stateDir),
  });
  const entry = path.join(directories.root, 'server', 'src', 'main.ts');
  const child = spawn(process.execPath, [entry, ...args], {
    cwd: directories.root,
    env: { ...process.env, ...environment, ATLAS_LOG_LEVEL: 'warn' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const said: Buffer[] = [];
  const complained: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => said.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => complained.push(chunk));
  child.stdin.end(input);
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const output = Buffer.concat(said).toString('utf8');
  if (status === 0) return output;
  const words = `${output}\n${Buffer.concat(complained).toString('utf8')}`
    .trim()
    .split('\n')
    .slice(-15)
    .join('\n');
  throw new Error(`server ${args.join(' ')} ended with ${status}\n${words}`);
}
