import type { Command } from 'commander';
import { registerAgentless } from './commands/agentless.ts';
import { registerAudit } from './commands/audit.ts';
import { registerBench } from './commands/bench.ts';
import { registerBuilds } from './commands/builds.ts';
import { registerCheck } from './commands/check.ts';
import { registerCode } from './commands/code.ts';
import { registerDev } from './commands/dev.ts';
import { registerDoctor } from './commands/doctor.ts';
import { registerDrill } from './commands/drill.ts';
import { registerDown } from './commands/down.ts';
import { registerExceptions } from './commands/exceptions.ts';
import { registerFaults } from './commands/faults.ts';
import { registerGen } from './commands/gen.ts';
import { registerGroups } from './commands/groups.ts';
import { registerHosts } from './commands/hosts.ts';
import { registerLab } from './commands/lab.ts';
import { registerLogs } from './commands/logs.ts';
import { registerPlans } from './commands/plans.ts';
import { registerPolicy } from './commands/policy.ts';
import { registerReset } from './commands/reset.ts';
import { registerRuns } from './commands/runs.ts';
import { registerScreenshots } from './commands/screenshots.ts';
import { registerSecrets } from './commands/secrets.ts';
import { registerSession } from './commands/session.ts';
import { registerSimulate } from './commands/simulate.ts';
import { registerStatus } from './commands/status.ts';
import { registerTest } from './commands/test.ts';
import { registerTokens } from './commands/tokens.ts';
import { registerUp } from './commands/up.ts';
import { registerWindows } from './commands/windows.ts';
import type { CliContext } from './context.ts';
import type { Text } from '../stack/text.ts';
import { demoStory } from './demo/story.ts';

type Register = (program: Command, context: CliContext) => void;

/** Every command in the order of the help, by what it is for; a new one is a file in commands/ and a line here. */
const groups: readonly { readonly title: Text; readonly registrations: readonly Register[] }[] = [
  {
    title: ['Cette installation :', 'This installation:'],
    registrations: [
      (program, context): void => registerUp(program, context, demoStory),
      registerDown,
      registerStatus,
      registerLogs,
      registerDoctor,
      registerReset,
      registerCode,
      registerLab,
      registerSecrets,
      registerAgentless,
    ],
  },
  {
    title: ['Exploitation :', 'Operation:'],
    registrations: [
      registerSession,
      registerHosts,
      registerGroups,
      registerWindows,
      registerPlans,
      registerExceptions,
      registerRuns,
      registerTokens,
      registerAudit,
      registerPolicy,
      registerBuilds,
    ],
  },
  {
    title: ['Développement :', 'Development:'],
    registrations: [
      registerDev,
      registerCheck,
      registerTest,
      registerBench,
      registerSimulate,
      registerFaults,
      registerDrill,
      registerScreenshots,
      registerGen,
    ],
  },
];

export function registerCommands(program: Command, context: CliContext): void {
  for (const { title, registrations } of groups) {
    program.commandsGroup(context.text(title));
    for (const register of registrations) register(program, context);
  }
}
