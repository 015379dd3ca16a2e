import type { RunWorld } from './run-world.ts';

interface Entry {
  readonly action: string;
  readonly subjectId: string | null;
  readonly at: string;
}

/** Everything in the audit log of the world's tenant, in the order of writing. */
async function entries(world: RunWorld): Promise<Entry[]> {
  return world.query<{ action: string; subjectId: string | null; at: string }>(
    `select action, subject_id as "subjectId", at::text as at from audit_entries where tenant_id = $1 order by entry_id`,
    [world.tenantId],
  );
}

/**
 * What is wrong with a history, in words; empty when nothing is.
 * I1: every command that was made has an answer or belongs to a host run that is open or says why not.
 * I2: no effect happened twice. I5: every effect has `command.dispatched` before it and `command.result` after it.
 */
export async function faultsOf(world: RunWorld): Promise<string[]> {
  const faults: string[] = [];
  // Effects first: what happens while the log is read would look like an effect without an entry.
  const effects = world.agents.flatMap((agent) => [...agent.effects]);
  const log = await entries(world);
  const position = (action: string, id: string): number =>
    log.findIndex((entry) => entry.action === action && entry.subjectId === id);
  const answered = await world.query<{ id: string }>('select distinct command_id as id from command_results');
  const withResult = new Set(answered.map(({ id }) => id));
  for (const [commandId, times] of effects) {
    if (times !== 1) faults.push(`I2: the effect of ${commandId} happened ${times} times`);
    const before = position('command.dispatched', commandId);
    const after = position('command.result', commandId);
    if (before < 0) faults.push(`I5: ${commandId} had an effect and no dispatch in the log`);
    if (withResult.has(commandId) && after < before)
      faults.push(`I5: ${commandId} has no result after its dispatch`);
  }
  const lost = await world.query<{ id: string }>(
    `select c.id from commands c
     where c.host_run_id is not null
       and not exists (select 1 from command_results r where r.command_id = c.id)
       and not exists (select 1 from host_runs h where h.id = c.host_run_id and h.open_command_id = c.id)
       and not exists (select 1 from run_decisions d where d.host_run_id = c.host_run_id
         and d.code in ('clock_expired', 'agent_silent', 'indeterminate', 'silence_reverted', 'agent_reverted', 'cancelled_by_person', 'stopped_by_lock'))`,
  );
  for (const { id } of lost) faults.push(`I1: command ${id} vanished`);
  return faults;
}
