-- A host whose work is taken away before the change, and brought back after it.
alter table host_runs drop constraint host_runs_state_check;
alter table host_runs add constraint host_runs_state_check check (state in (
  'planned', 'preflight', 'guarding', 'guarded', 'downloading', 'draining', 'installing', 'awaiting_restart', 'restarting',
  'undraining', 'verifying', 'committing', 'committed', 'rollback_decision', 'rolling_back', 'rolled_back',
  'rollback_failed', 'agent_lost', 'cancelled', 'missed', 'failed', 'superseded'));
