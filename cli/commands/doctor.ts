import { existsSync, statfsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Command } from 'commander';
import { listMissingLabPackages } from '../../lab/preflight.ts';
import { findSupervisor, readStatus } from '../../stack/daemonState.ts';
import { readJson } from '../../stack/files.ts';
import { isPortFree } from '../../stack/ports.ts';
import { listStackPrerequisites, listSuitePrerequisites } from '../../stack/prerequisites.ts';
import type { Prerequisite } from '../../stack/prerequisites.ts';
import type { Text } from '../../stack/text.ts';
import type { CliContext } from '../context.ts';
import { describeDatabaseHealth, readDatabaseHealth } from '../databaseHealth.ts';
import { exitCodes } from '../exitCodes.ts';

/** One look at the machine. `needed` for the services; the others only for a part. */
type Finding = { name: string; title: Text; ok: boolean; needed: boolean; purpose: Text; remedy: Text };

const wantedDiskMib = 4096;
const wantedMemoryMib = 3072;

const inGiB = (mib: number): string => (mib / 1024).toFixed(1);

/** `doctor`: looks at everything ATLAS needs and says the remedy of what is missing. Status 3 when `up` cannot work. */
export function registerDoctor(program: Command, context: CliContext): void {
  program
    .command('doctor')
    .description(
      context.text([
        'examine cette machine et dit les remèdes',
        'looks at this machine and says the remedies',
      ]),
    )
    .action(async () => {
      const findings = await examine(context);
      for (const finding of findings) sayFinding(context, finding);
      const missing = findings.filter((one) => !one.ok && one.needed);
      context.say('');
      if (missing.length === 0) context.say(['Rien ne manque pour « up ».', "Nothing is missing for 'up'."]);
      else
        context.say([
          `Il manque ${missing.length} chose(s) pour « up ».`,
          `${missing.length} thing(s) missing for 'up'.`,
        ]);
      context.answer({ ok: missing.length === 0, findings });
      if (missing.length > 0) process.exitCode = exitCodes.missing;
    });
}

async function examine(context: CliContext): Promise<Finding[]> {
  const { directories } = context;
  return [
    ...listStackPrerequisites(directories).map((one) => fromPrerequisite(one, true)),
    examineDisk(directories.stateDir),
    examineMemory(),
    ...(await examinePorts(directories.stateDir)),
    ...(await examineStandbys(directories.stateDir)),
    examineLab(),
    ...['e2e', 'conformance'].flatMap(listSuitePrerequisites).map((one) => fromPrerequisite(one, false)),
  ];
}

function fromPrerequisite(one: Prerequisite, needed: boolean): Finding {
  const line = `apt-get install ${one.packages.join(' ')}`;
  const remedy: Text = needed
    ? [`${line} (« up » le fait lui-même)`, `${line} ('up' does it itself)`]
    : [`${line} (« test » le fait lui-même)`, `${line} ('test' does it itself)`];
  return {
    name: one.name,
    title: [one.name, one.name],
    ok: one.isPresent(),
    needed,
    purpose: one.purpose,
    remedy,
  };
}

function examineDisk(stateDir: string): Finding {
  let folder = stateDir;
  while (!existsSync(folder)) folder = path.dirname(folder);
  const space = statfsSync(folder);
  const freeMib = Math.floor((space.bavail * space.bsize) / (1 << 20));
  return {
    name: 'disk',
    title: [`disque ${inGiB(freeMib).replace('.', ',')} Gio libres`, `disk ${inGiB(freeMib)} GiB free`],
    ok: freeMib >= wantedDiskMib,
    needed: true,
    purpose: ['bases, Keycloak, laboratoire', 'databases, Keycloak, lab'],
    remedy: [
      `libérez ${wantedDiskMib} Mio, ou mettez ATLAS_STATE_DIR sur un autre disque`,
      `free ${wantedDiskMib} MiB, or put ATLAS_STATE_DIR on another disk`,
    ],
  };
}

function examineMemory(): Finding {
  const totalMib = Math.floor(os.totalmem() / (1 << 20));
  return {
    name: 'memory',
    title: [`mémoire ${inGiB(totalMib).replace('.', ',')} Gio`, `memory ${inGiB(totalMib)} GiB`],
    ok: totalMib >= wantedMemoryMib,
    needed: true,
    purpose: ['Keycloak 0,6 Go, le reste 0,5 Go', 'Keycloak 0.6 GB, the rest 0.5 GB'],
    remedy: [`il faut ${wantedMemoryMib} Mio de mémoire`, `${wantedMemoryMib} MiB of memory are needed`],
  };
}

/** Kept ports must be free while nothing of ours runs. */
async function examinePorts(stateDir: string): Promise<Finding[]> {
  const ports = readJson<Record<string, number>>(path.join(stateDir, 'ports.json')) ?? {};
  if (findSupervisor(stateDir) !== undefined) return [];
  const looks = Object.entries(ports).map(async ([name, port]): Promise<Finding> => ({
    name: `port-${name}`,
    title: [`port ${port} (${name})`, `port ${port} (${name})`],
    ok: await isPortFree(port),
    needed: true,
    purpose: ['gardé pour cette installation', 'kept for this installation'],
    remedy: [
      `un autre programme l’occupe : « ss -ltnp sport = :${port} » le nomme ; arrêtez-le`,
      `another program holds it: 'ss -ltnp sport = :${port}' names it; stop it`,
    ],
  }));
  return Promise.all(looks);
}

/** Standbys of the database, when the running server has been told of any. */
async function examineStandbys(stateDir: string): Promise<Finding[]> {
  const publicUrl = findSupervisor(stateDir) === undefined ? undefined : readStatus(stateDir)?.publicUrl;
  const health = publicUrl === undefined ? null : await readDatabaseHealth(publicUrl);
  if (health === null) return [];
  return [
    {
      name: 'standby',
      title: ['base de secours', 'standby database'],
      ok: health.warnings.length === 0,
      needed: false,
      purpose: ['rien de perdu avec la machine de la base', 'nothing is lost with the database’s machine'],
      remedy: describeDatabaseHealth(health),
    },
  ];
}

function examineLab(): Finding {
  const missing = listMissingLabPackages();
  const root = process.getuid?.() === 0;
  return {
    name: 'lab',
    title: ['laboratoire', 'lab'],
    ok: root && missing.length === 0,
    needed: false,
    purpose: [
      'vraies machines Debian de la démonstration et des essais',
      'real Debian machines of the demo and the tests',
    ],
    remedy: root
      ? [`apt-get install ${missing.join(' ')}`, `apt-get install ${missing.join(' ')}`]
      : ['le laboratoire crée des machines : lancez avec sudo', 'the lab makes machines: run with sudo'],
  };
}

function sayFinding(context: CliContext, finding: Finding): void {
  const mark = finding.ok ? '✓' : finding.needed ? '✗' : '–';
  context.say(`${mark} ${context.text(finding.title).padEnd(28)} ${context.text(finding.purpose)}`);
  if (!finding.ok) context.say(`    → ${context.text(finding.remedy)}`);
}
