import type { Command } from 'commander';
import { registerAudit } from './commands/audit.ts';
import { registerBench } from './commands/bench.ts';
import { registerCheck } from './commands/check.ts';
import { registerCode } from './commands/code.ts';
import { registerDev } from './commands/dev.ts';
import { registerDoctor } from './commands/doctor.ts';
import { registerDown } from './commands/down.ts';
import { registerGen } from './commands/gen.ts';
import { registerHosts } from './commands/hosts.ts';
import { registerLab } from './commands/lab.ts';
import { registerLogs } from './commands/logs.ts';
import { registerPolicy } from './commands/policy.ts';
import { registerReset } from './commands/reset.ts';
import { registerRuns } from './commands/runs.ts';
import { registerScreenshots } from './commands/screenshots.ts';
import { registerSecrets } from './commands/secrets.ts';
import { registerSession } from './commands/session.ts';
import { registerStatus } from './commands/status.ts';
import { registerTest } from './commands/test.ts';
import { registerTokens } from './commands/tokens.ts';
import { registerUp } from './commands/up.ts';
import type { CliContext } from './context.ts';
import { demoStory } from './demo/story.ts';

/** Every command in the order of the help; a new one is a file in commands/ and a line here. */
const registrations = [
  (program: Command, context: CliContext): void => registerUp(program, context, demoStory),
  registerDown,
  registerStatus,
  registerLogs,
  registerDoctor,
  registerReset,
  registerCode,
  registerCheck,
  registerTest,
  registerBench,
  registerScreenshots,
  registerSecrets,
  registerGen,
  registerDev,
  registerLab,
  registerSession,
  registerHosts,
  registerRuns,
  registerTokens,
  registerAudit,
  registerPolicy,
];

export function registerCommands(program: Command, context: CliContext): void {
  for (const register of registrations) register(program, context);
}
