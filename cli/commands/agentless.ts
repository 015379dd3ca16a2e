import path from 'node:path';
import type { Command } from 'commander';
import { buildEngine } from '../../agent/packaging/build-engine.ts';
import { installAnsible, listAgentlessPrerequisites } from '../../stack/agentless.ts';
import { installMissing } from '../../stack/distribution.ts';
import type { CliContext } from '../context.ts';

/** `agentless`: what this server needs to reach hosts over SSH. */
export function registerAgentless(program: Command, context: CliContext): void {
  const agentless = program
    .command('agentless')
    .description(context.text(['hôtes sans agent, par SSH', 'hosts without an agent, over SSH']));
  agentless
    .command('install')
    .description(
      context.text([
        'installe Ansible (versions et empreintes figées) et prépare le moteur que SSH apporte aux hôtes',
        'installs Ansible (pinned versions and digests) and makes the engine that SSH brings to hosts',
      ]),
    )
    .action(async () => {
      try {
        await installAgentless(context);
      } catch (error) {
        context.fail(error);
      }
    });
}

async function installAgentless(context: CliContext): Promise<void> {
  const { stateDir, cacheDir } = context.directories;
  const missing = listAgentlessPrerequisites().filter((one) => !one.isPresent());
  await installMissing({ stateDir, missing, say: context.say });
  const directory = path.join(cacheDir, 'agentless');
  context.say(['Ansible, dans un environnement à part…', 'Ansible, in an environment of its own…']);
  await installAnsible({ directory, stateDir });
  context.say(['Moteur pour les hôtes…', 'Engine for the hosts…']);
  const engine = await buildEngine({ outDir: directory, nodeBinary: process.execPath, version: '0.1.0' });
  context.say([
    'Prêt : ajoutez des hôtes par SSH dans Parc › Réglages › Hôtes par SSH.',
    'Ready: add hosts over SSH in Settings › Hosts over SSH.',
  ]);
  context.answer({ directory, engine });
}
