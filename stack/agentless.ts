import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { hasProgram } from './prerequisites.ts';
import type { Prerequisite } from './prerequisites.ts';
import { runCommand } from './runCommand.ts';

/** The room of the playbooks, with the list of Python packages, each pinned with its digests. */
const room = path.resolve(import.meta.dirname, '../ansible/hosts');

/** The distribution's own Python first: jobs run as another user, who cannot look into somebody's home. */
function findPython(): string | null {
  return ['/usr/bin/python3', 'python3'].find((name) => canMakeVenv(name)) ?? null;
}

function canMakeVenv(python: string): boolean {
  const asked =
    'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12), (3, 13)))';
  return spawnSync(python, ['-c', asked]).status === 0;
}

/** What the SSH runner needs of this machine. */
export function listAgentlessPrerequisites(): Prerequisite[] {
  return [
    {
      name: 'python3-venv',
      packages: ['python3', 'python3-venv'],
      purpose: ['fait tourner Ansible (Python 3.11 à 3.13)', 'runs Ansible (Python 3.11 to 3.13)'],
      isPresent: () => findPython() !== null,
    },
    {
      name: 'ssh',
      packages: ['openssh-client'],
      purpose: ['atteint les hôtes sans agent', 'reaches hosts without an agent'],
      isPresent: () => hasProgram('ssh') && hasProgram('ssh-keyscan'),
    },
  ];
}

/**
 * Installs ansible-core, pinned and checked by digest, into a Python environment of its own under `directory`; found
 * again afterwards. `directory/venv` leads to it, also while another one is being made.
 */
export async function installAnsible(options: { directory: string; stateDir: string }): Promise<void> {
  const { directory, stateDir } = options;
  const requirements = path.join(room, 'requirements.txt');
  const digest = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12);
  const made = path.join(directory, `venv-${digest}`);
  if (!existsSync(path.join(made, 'complete'))) {
    const python = findPython();
    if (python === null) throw new Error('there is no Python 3.11 to 3.13 with venv on this machine');
    mkdirSync(directory, { recursive: true });
    rmSync(made, { recursive: true, force: true });
    const run = (file: string, args: string[]): Promise<unknown> =>
      runCommand(file, args, { stateDir, logName: 'agentless' });
    await run(python, ['-m', 'venv', made]);
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
    const pinned = ['--require-hashes', '--no-deps', '--only-binary', ':all:', '-r', requirements];
    await run(path.join(made, 'bin/python'), [...pip, ...pinned]);
    mkdirSync(path.join(made, 'complete'));
  }
  const link = path.join(directory, 'venv');
  rmSync(`${link}.new`, { force: true });
  symlinkSync(path.basename(made), `${link}.new`);
  renameSync(`${link}.new`, link);
}
