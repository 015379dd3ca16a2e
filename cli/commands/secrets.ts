import path from 'node:path';
import type { Command } from 'commander';
import { keepSecrets } from '../../stack/secrets.ts';
import type { CliContext } from '../context.ts';

/** `secrets`: makes the secret files of this installation without starting anything, for docker compose. */
export function registerSecrets(program: Command, context: CliContext): void {
  program
    .command('secrets')
    .description(
      context.text([
        'crée les fichiers de secrets que docker-compose.yml attend',
        'makes the secret files that docker-compose.yml expects',
      ]),
    )
    .action(() => {
      const { stateDir } = context.directories;
      keepSecrets(stateDir);
      const folder = path.join(stateDir, 'secrets');
      context.say([`Secrets : ${folder} (0600)`, `Secrets: ${folder} (0600)`]);
      context.answer({ secrets: folder });
    });
}
