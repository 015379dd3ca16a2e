import type KeycloakAdminClient from '@keycloak/keycloak-admin-client';
import type AuthenticationExecutionInfoRepresentation from '@keycloak/keycloak-admin-client/lib/defs/authenticationExecutionInfoRepresentation.js';
import { invariant } from '../errors.ts';
import { browserFlow, browserFlowSteps } from './realm.policy.ts';
import type { FlowStep } from './realm.policy.ts';

type Execution = AuthenticationExecutionInfoRepresentation;

/** A flow's executions as indented lines: two flows are the same when their lines are. */
function outline(steps: readonly FlowStep[], depth = 0): string[] {
  return steps.flatMap((step) => [
    `${depth} ${step.requirement} ${step.flow ?? step.provider ?? ''}`,
    ...outline(step.children ?? [], depth + 1),
  ]);
}

function outlineOf(executions: readonly Execution[]): string[] {
  return executions.map(
    ({ level, requirement, providerId, displayName, authenticationFlow }) =>
      `${level ?? 0} ${requirement ?? ''} ${(authenticationFlow === true ? displayName : providerId) ?? ''}`,
  );
}

async function addSteps(admin: KeycloakAdminClient, flow: string, steps: readonly FlowStep[]): Promise<void> {
  for (const step of steps) {
    const before = new Set(
      (await admin.authenticationManagement.getExecutions({ flow })).map(({ id }) => id),
    );
    if (step.flow === undefined) {
      await admin.authenticationManagement.addExecutionToFlow({ flow, provider: step.provider ?? '' });
    } else {
      await admin.authenticationManagement.addFlowToFlow({
        flow,
        alias: step.flow,
        type: 'basic-flow',
        provider: 'registration-page-form',
        description: step.flow,
      });
    }
    const added = (await admin.authenticationManagement.getExecutions({ flow })).find(
      ({ id }) => !before.has(id),
    );
    invariant(
      added?.id !== undefined,
      `the identity provider did not add ${step.flow ?? step.provider ?? ''}`,
    );
    await admin.authenticationManagement.updateExecution(
      { flow },
      { ...added, requirement: step.requirement },
    );
    if (step.config !== undefined) {
      await admin.authenticationManagement.createConfig({
        id: added.id,
        alias: `${step.provider ?? ''} ${Object.values(step.config).join(' ')}`,
        config: { ...step.config },
      });
    }
    if (step.flow !== undefined) await addSteps(admin, step.flow, step.children ?? []);
  }
}

/**
 * Makes the browser flow when it is absent or not as written, and says whether it did.
 * The realm must not use the flow while it is made: the caller binds it afterwards.
 */
export async function ensureBrowserFlow(admin: KeycloakAdminClient): Promise<boolean> {
  const flows = await admin.authenticationManagement.getFlows();
  const present = flows.find(({ alias }) => alias === browserFlow);
  if (present?.id !== undefined) {
    const executions = await admin.authenticationManagement.getExecutions({ flow: browserFlow });
    if (outlineOf(executions).join('\n') === outline(browserFlowSteps).join('\n')) return false;
    // A flow in use cannot be removed: the built-in one stands in for the moment.
    await admin.realms.update({ realm: admin.realmName }, { browserFlow: 'browser' });
    await admin.authenticationManagement.deleteFlow({ flowId: present.id });
  }
  await admin.authenticationManagement.createFlow({
    alias: browserFlow,
    providerId: 'basic-flow',
    topLevel: true,
    builtIn: false,
    description: 'Password and second factor; a fresh second factor for step-up',
  });
  await addSteps(admin, browserFlow, browserFlowSteps);
  return true;
}
