import type { Command } from 'commander';
import type { LabHost } from '../../lab/host.ts';
import { createLab, openLab } from '../../lab/lab.ts';
import type { Lab } from '../../lab/lab.ts';
import { describeLabStep } from '../../lab/lab-story.ts';
import type { LabStep } from '../../lab/lab-story.ts';
import { resetLab } from '../../lab/reset-lab.ts';
import { installMissing } from '../../stack/distribution.ts';
import { listSuitePrerequisites } from '../../stack/prerequisites.ts';
import { StackError } from '../../stack/text.ts';
import type { Text } from '../../stack/text.ts';
import type { CliContext } from '../context.ts';
import { exitCodes } from '../exitCodes.ts';

type UpFlags = { count: string; broken?: string[] };

/** `lab`: real Debian machines on this computer, for development, tests and the demonstration. */
export function registerLab(program: Command, context: CliContext): void {
  const lab = program
    .command('lab')
    .description(
      context.text([
        'laboratoire : de vraies machines Debian sur cet ordinateur (root)',
        'lab: real Debian machines on this computer (root)',
      ]),
    );
  const add = (usage: string, description: Text): Command =>
    lab.command(usage).description(context.text(description));
  registerPower(add, context);
  registerNetwork(add, context);
  add('exec <name> [command...]', [
    'exécute une commande dans une machine : exec NOM -- COMMANDE',
    'runs a command in a host: exec NAME -- COMMAND',
  ]).action(async (name: string, command: string[]) => {
    await attempt(context, async () => execOnHost(context, name, command));
  });
  add('list', ['liste les machines', 'lists the hosts']).action(async () => {
    await attempt(context, async () => listHosts(context));
  });
}

type AddCommand = (usage: string, description: Text) => Command;

function registerPower(add: AddCommand, context: CliContext): void {
  add('up [names...]', ['crée et démarre des machines', 'makes and starts hosts'])
    .option(
      '--count <n>',
      context.text(['nombre de machines sans nom donné', 'hosts when none is named']),
      '2',
    )
    .option(
      '--broken <names...>',
      context.text(['machines dont une mise à jour cassera nginx', 'hosts with an update that breaks nginx']),
    )
    .action(async (names: string[], flags: UpFlags) => {
      await attempt(context, async () => bringUp(context, names, flags));
    });
  add('down', ['éteint les machines ; leurs disques restent', 'stops the hosts; their disks stay']).action(
    async () => {
      await attempt(context, async () => {
        await openLab(labOptions(context))?.stop();
        context.answer({ stopped: true });
      });
    },
  );
  add('kill <name>', ['coupe le courant d’une machine', 'takes the power of a host away']).action(
    async (name: string) => {
      await attempt(context, async () => changeHost(context, name, async (host) => host.kill()));
    },
  );
  add('reset', ['supprime tout le laboratoire', 'removes the whole lab']).action(async () => {
    await attempt(context, async () => {
      await resetLab(context.directories.stateDir, labOptions(context).log);
      context.answer({ reset: true });
    });
  });
}

function registerNetwork(add: AddCommand, context: CliContext): void {
  add('cut <name>', ['coupe le réseau d’une machine', 'cuts the network of a host']).action(
    async (name: string) => {
      await attempt(context, async () => changeHost(context, name, async (host) => host.cutNetwork()));
    },
  );
  add('heal <name>', ['rétablit le réseau d’une machine', 'restores the network of a host']).action(
    async (name: string) => {
      await attempt(context, async () => changeHost(context, name, async (host) => host.healNetwork()));
    },
  );
}

async function attempt(context: CliContext, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    context.fail(error);
  }
}

function labOptions(context: CliContext): {
  stateDir: string;
  cacheDir: string;
  log: (step: LabStep) => void;
} {
  const { stateDir, cacheDir } = context.directories;
  return { stateDir, cacheDir, log: (step) => context.say(describeLabStep(step)) };
}

function requireLab(context: CliContext): Lab {
  const lab = openLab(labOptions(context));
  if (lab === undefined) {
    throw new StackError([
      'Il n’y a pas de laboratoire ici. Créez-le : ./atlas lab up',
      'There is no lab here. Make one: ./atlas lab up',
    ]);
  }
  return lab;
}

async function bringUp(context: CliContext, names: string[], flags: UpFlags): Promise<void> {
  const count = Number(flags.count);
  if (!Number.isInteger(count) || count < 1) {
    context.fail(
      new StackError(['--count attend un nombre entier', '--count wants a whole number']),
      exitCodes.usage,
    );
    return;
  }
  const missing = listSuitePrerequisites('lab').filter((one) => !one.isPresent());
  await installMissing({ stateDir: context.directories.stateDir, missing, say: context.say });
  const lab = await createLab(labOptions(context));
  const wanted = names.length > 0 ? names : chooseNames(lab, count);
  const broken = flags.broken ?? [];
  const specs = [...new Set([...wanted, ...broken])].map((name) => ({
    name,
    brokenPackagePending: broken.includes(name),
  }));
  await lab.create(specs);
  await listHosts(context);
}

/** The hosts that exist already, or a first handful. */
function chooseNames(lab: Lab, count: number): string[] {
  const known = lab.hosts().map((host) => host.name);
  const fresh = Array.from({ length: count }, (_, index) => `web-${index + 1}`);
  return [...new Set([...known, ...fresh])];
}

const stateTexts: Record<string, Text> = {
  running: ['en marche', 'running'],
  booting: ['démarre', 'booting'],
  off: ['éteinte', 'off'],
};

async function listHosts(context: CliContext): Promise<void> {
  const lab = openLab(labOptions(context));
  const hosts = await Promise.all((lab?.hosts() ?? []).map(async (host) => host.status()));
  for (const host of hosts) {
    const state = context.text(stateTexts[host.state] ?? [host.state, host.state]);
    const cut = host.network.cut ? context.text([' réseau coupé', ' network cut']) : '';
    const slow = host.network.slow === null ? '' : context.text([' réseau lent', ' network slow']);
    context.say(`${host.name.padEnd(16)} ${host.address.padEnd(16)} ${state}${cut}${slow}`);
  }
  if (hosts.length === 0) context.say(['Aucune machine.', 'No hosts.']);
  context.answer({ gatewayAddress: lab?.gatewayAddress ?? null, hosts });
}

async function changeHost(
  context: CliContext,
  name: string,
  change: (host: LabHost) => Promise<void>,
): Promise<void> {
  const host = requireLab(context).host(name);
  await change(host);
  const status = await host.status();
  context.say([`${name} : fait`, `${name}: done`]);
  context.answer(status);
}

async function execOnHost(context: CliContext, name: string, command: string[]): Promise<void> {
  const host = requireLab(context).host(name);
  if (command.length === 0) {
    context.fail(new StackError(['Quelle commande ?', 'Which command?']), exitCodes.usage);
    return;
  }
  // One word is a shell line; several are a program and its arguments.
  const result = await host.exec(command.length === 1 ? (command[0] ?? '') : command);
  if (!context.json) {
    process.stdout.write(result.stdout);
    process.stderr.write(result.stderr);
  }
  context.answer(result);
  process.exitCode = result.exitCode;
}
