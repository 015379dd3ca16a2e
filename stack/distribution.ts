import { spawnSync } from 'node:child_process';
import { hasProgram } from './prerequisites.ts';
import type { Prerequisite } from './prerequisites.ts';
import { runCommand } from './runCommand.ts';
import { StackError } from './text.ts';
import type { Text } from './text.ts';

type Installation = {
  stateDir: string;
  missing: Prerequisite[];
  say: (text: Text) => void;
};

/** Packages that bring the missing pieces, each once. */
export function listPackages(missing: Prerequisite[]): string[] {
  return [...new Set(missing.flatMap((one) => one.packages))];
}

/** Installs what is missing from the distribution, after saying what and why. @throws StackError with the remedy. */
export async function installMissing({ stateDir, missing, say }: Installation): Promise<void> {
  if (missing.length === 0) return;
  const packages = listPackages(missing);
  const prefix = findPrivilege(packages);
  say(['À installer depuis la distribution :', 'To be installed from the distribution:']);
  for (const one of missing) {
    const names = one.packages.join(', ');
    say([`  ${names} : ${one.purpose[0]}`, `  ${names}: ${one.purpose[1]}`]);
  }
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = async (...args: string[]): Promise<void> => {
    const [file = '', ...rest] = [
      ...prefix,
      'env',
      'DEBIAN_FRONTEND=noninteractive',
      'apt-get',
      '-q',
      ...args,
    ];
    await runCommand(file, rest, { stateDir, logName: 'packages', env });
  };
  const startedAtMs = performance.now();
  const tick = setInterval(() => {
    const seconds = Math.round((performance.now() - startedAtMs) / 1000);
    say([`  … installation en cours (${seconds} s)`, `  … installing (${seconds} s)`]);
  }, 15_000);
  try {
    await apt('update');
    await apt('install', '-y', '--no-install-recommends', ...packages);
  } finally {
    clearInterval(tick);
  }
}

function findPrivilege(packages: string[]): string[] {
  const line = `apt-get install ${packages.join(' ')}`;
  if (!hasProgram('apt-get')) {
    throw new StackError([
      `il manque ${packages.join(', ')} et cette distribution n’a pas apt-get : installez-les à sa manière`,
      `${packages.join(', ')} missing, and this distribution has no apt-get: install them its own way`,
    ]);
  }
  if (process.getuid?.() === 0) return [];
  if (spawnSync('sudo', ['-n', 'true']).status === 0 || (hasProgram('sudo') && process.stdin.isTTY))
    return ['sudo'];
  throw new StackError([
    `il manque des paquets et nous ne sommes ni root ni sudo : faites lancer « ${line} »`,
    `packages are missing and we are neither root nor sudo: have '${line}' run`,
  ]);
}
