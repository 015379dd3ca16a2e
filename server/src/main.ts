import { readConfig } from './config.ts';
import {
  auditCommand,
  bootstrapCommand,
  databaseCommand,
  migrateCommand,
  provisionCommand,
} from './main.commands.ts';
import { serve } from './main.serve.ts';

const usage =
  'usage: main.ts serve | migrate | provision | bootstrap | database | audit verify [tenantId] | audit export DIRECTORY [tenantId]\n';

async function run(name: string | undefined, args: readonly string[]): Promise<number> {
  switch (name) {
    case 'serve':
      await serve(readConfig());
      return 0;
    case 'migrate':
      return migrateCommand(readConfig());
    case 'provision':
      return provisionCommand(readConfig());
    case 'bootstrap':
      return bootstrapCommand(readConfig());
    case 'database':
      return databaseCommand(readConfig());
    case 'audit':
      return auditCommand(readConfig(), args);
    default:
      process.stderr.write(usage);
      return 2;
  }
}

const [name, ...args] = process.argv.slice(2);
try {
  process.exitCode = await run(name, args);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
}
