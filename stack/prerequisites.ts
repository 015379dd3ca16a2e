import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { Directories } from './directories.ts';
import { keycloakVersion } from './keycloakBuild.ts';
import type { Text } from './text.ts';

/** Something of the machine that a part of ATLAS needs. */
export type Prerequisite = {
  name: string;
  /** What it is for, for people. */
  purpose: Text;
  /** Packages of the distribution that bring it. */
  packages: string[];
  isPresent: () => boolean;
};

const searchPath = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** True when that program can be run; system folders count even when PATH leaves them out. */
export function hasProgram(name: string): boolean {
  const folders = [...(process.env.PATH ?? '').split(':'), ...searchPath];
  return folders.some((folder) => {
    try {
      accessSync(path.join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Major version of the Java on the PATH; 0 when there is none. */
export function readJavaMajor(): number {
  const output = spawnSync('java', ['-version'], { encoding: 'utf8' });
  return Number(/version "(\d+)/.exec(output.stderr ?? '')?.[1] ?? 0);
}

function hasKeycloak(cacheDir: string): boolean {
  const built = path.join(cacheDir, 'keycloak');
  if (existsSync(built) && readdirSync(built).some((name) => name.startsWith(`${keycloakVersion}-`)))
    return true;
  return existsSync(path.join(cacheDir, 'downloads', `keycloak-quarkus-dist-${keycloakVersion}.tar.gz`));
}

/** What `up` needs before it can start anything. */
export function listStackPrerequisites(directories: Directories): Prerequisite[] {
  return [
    {
      name: 'Redis',
      purpose: ['file des travaux et diffusion en direct', 'job queue and live fan-out'],
      packages: ['redis-server'],
      isPresent: () => hasProgram('redis-server'),
    },
    {
      name: 'Java ≥ 17',
      purpose: ['fait tourner Keycloak, la connexion des personnes', 'runs Keycloak, where people sign in'],
      packages: ['default-jre-headless'],
      isPresent: () => readJavaMajor() >= 17,
    },
    {
      name: 'Maven',
      purpose: [
        `télécharge Keycloak ${keycloakVersion}, une fois`,
        `fetches Keycloak ${keycloakVersion}, once`,
      ],
      packages: ['maven'],
      isPresent: () => hasProgram('mvn') || hasKeycloak(directories.cacheDir),
    },
  ];
}

/** What one test suite needs beyond the stack. */
export function listSuitePrerequisites(suite: string): Prerequisite[] {
  return suitePrerequisites[suite] ?? [];
}

function program(name: string, packages: string[], purpose: Text): Prerequisite {
  return { name, packages, purpose, isPresent: () => hasProgram(name) };
}

const suitePrerequisites: Record<string, Prerequisite[]> = {
  e2e: [
    program('chromium', ['chromium'], ['navigateur des essais', 'the browser of the tests']),
    program(
      'certutil',
      ['libnss3-tools'],
      ['confiance du navigateur dans l’autorité du site', 'browser trust in the site CA'],
    ),
  ],
  faults: [
    program('faketime', ['faketime'], ['horloges qui sautent', 'clocks that jump']),
    program('fiu-run', ['fiu-utils'], ['écritures qui échouent', 'writes that fail']),
    program('nft', ['nftables'], ['coupures du réseau', 'cuts of the network']),
    program('ip', ['iproute2'], ['réseau à part des machines', 'a network apart for hosts']),
  ],
  conformance: [
    {
      name: 'python3-venv',
      packages: ['python3-venv'],
      purpose: [
        'vérificateur d’audit indépendant et schemathesis',
        'independent audit verifier and schemathesis',
      ],
      isPresent: () => spawnSync('python3', ['-c', 'import venv, ensurepip']).status === 0,
    },
    program(
      'go',
      ['golang-go'],
      ['vérificateur d’audit indépendant en Go', 'independent audit verifier in Go'],
    ),
  ],
  lab: [
    program(
      'mmdebstrap',
      ['mmdebstrap'],
      ['racine Debian des machines du laboratoire', 'Debian root of the lab machines'],
    ),
    program('mkfs.btrfs', ['btrfs-progs'], ['instantanés des machines', 'snapshots of the machines']),
    program('systemd-nspawn', ['systemd-container'], ['démarre les machines', 'boots the machines']),
    program('nft', ['nftables'], ['réseau des machines', 'network of the machines']),
    program('ip', ['iproute2'], ['réseau des machines', 'network of the machines']),
    program(
      'ssh',
      ['openssh-client'],
      ['atteint les machines sans agent', 'reaches machines without an agent'],
    ),
    {
      name: 'python3-venv',
      packages: ['python3-venv'],
      purpose: ['fait tourner Ansible', 'runs Ansible'],
      isPresent: () => spawnSync('python3', ['-c', 'import venv, ensurepip']).status === 0,
    },
    {
      name: 'debian-archive-keyring',
      packages: ['debian-archive-keyring'],
      purpose: ['vérifie l’origine de la base Debian', 'verifies where the Debian base comes from'],
      isPresent: () => existsSync('/usr/share/keyrings/debian-archive-keyring.gpg'),
    },
  ],
};
