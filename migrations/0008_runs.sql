-- Runs of released plans, and each host's way through one.

create table run_numbers (
  tenant_id uuid primary key default atlas_current_tenant() references tenants (id),
  last_number integer not null
);
select atlas_tenant_table('run_numbers');

create table runs (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  number integer not null check (number >= 1),
  plan_id uuid not null,
  release_id uuid not null,
  -- The `release.approved` entry, and when it was seen in a signed checkpoint: nothing starts before.
  approved_entry_id uuid not null,
  sealed_at timestamptz,
  title text not null,
  state text not null default 'scheduled' check (state in (
    'scheduled', 'running', 'paused', 'stopping', 'completed', 'completed_with_failures', 'cancelled', 'expired')),
  not_before timestamptz not null,
  not_after timestamptz not null check (not_after > not_before),
  pause_s integer not null check (pause_s >= 0),
  failure_threshold_percent integer not null check (failure_threshold_percent between 0 and 100),
  -- People said "go on" after the threshold had stopped the run behind this wave.
  accepted_wave integer not null default 0,
  started_at timestamptz,
  ended_at timestamptz,
  -- When time alone changes something.
  deadline_at timestamptz,
  last_decision jsonb,
  report jsonb,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  version integer not null default 1,
  unique (tenant_id, id),
  unique (tenant_id, number),
  unique (release_id),
  foreign key (tenant_id, plan_id) references plans (tenant_id, id),
  foreign key (tenant_id, release_id) references releases (tenant_id, id)
);
create index runs_newest on runs (tenant_id, id desc);
create index runs_plan on runs (tenant_id, plan_id);
create index runs_release on runs (tenant_id, release_id);
create index runs_due on runs (deadline_at) where deadline_at is not null;
select atlas_tenant_table('runs');
select atlas_versioned_table('runs');
revoke delete on runs from atlas_app, atlas_system;

-- `memory` is what the rules remember; the columns beside it are what people and queries ask for.
-- The version is counted by the guarded update itself, so that a heartbeat is no edit.
create table host_runs (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  run_id uuid not null,
  host_id uuid not null,
  agent_id uuid not null,
  hostname text not null,
  wave integer not null check (wave >= 1),
  position integer not null check (position >= 0),
  state text not null check (state in (
    'planned', 'preflight', 'guarding', 'guarded', 'downloading', 'installing', 'awaiting_restart', 'restarting',
    'verifying', 'committing', 'committed', 'rollback_decision', 'rolling_back', 'rolled_back', 'rollback_failed',
    'agent_lost', 'cancelled', 'missed', 'failed', 'superseded')),
  state_since timestamptz not null,
  lost_in text,
  fence integer not null check (fence >= 1),
  rollback_tier integer not null check (rollback_tier between 0 and 3),
  outcomes jsonb not null,
  packages jsonb not null,
  memory jsonb not null,
  open_command_id uuid,
  -- Highest result sequence of the agent that the rules have taken into account.
  results_applied bigint not null default 0,
  phase text,
  percent integer check (percent between 0 and 100),
  last_heard_at timestamptz,
  deadline_at timestamptz,
  started_at timestamptz,
  ended_at timestamptz,
  rollback_seconds double precision,
  last_decision jsonb,
  log_lines integer not null default 0,
  -- The new attempt that took this one's place.
  replaced_by uuid,
  version integer not null default 1,
  unique (tenant_id, id),
  foreign key (tenant_id, run_id) references runs (tenant_id, id),
  foreign key (tenant_id, host_id) references hosts (tenant_id, id),
  foreign key (tenant_id, agent_id) references agents (tenant_id, id)
) with (fillfactor = 70);
create index host_runs_run on host_runs (tenant_id, run_id, wave, position);
create index host_runs_host on host_runs (tenant_id, host_id, id desc);
create index host_runs_agent on host_runs (tenant_id, agent_id) where ended_at is null;
create index host_runs_due on host_runs (deadline_at) where deadline_at is not null;
create index host_runs_open on host_runs (open_command_id) where open_command_id is not null;
-- A host run has one attempt that counts.
create unique index host_runs_current on host_runs (run_id, host_id) where replaced_by is null;
select atlas_tenant_table('host_runs');
revoke delete on host_runs from atlas_app, atlas_system;

-- Why something was decided. `host_run_id` is null for decisions about the whole run.
create table run_decisions (
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  id uuid not null,
  run_id uuid not null,
  host_run_id uuid,
  at timestamptz not null,
  code text not null,
  "values" jsonb not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, run_id) references runs (tenant_id, id)
);
create index run_decisions_run on run_decisions (tenant_id, run_id, id);
create index run_decisions_host_run on run_decisions (tenant_id, host_run_id, id) where host_run_id is not null;
select atlas_append_only_table('run_decisions');

-- What hosts said while they worked: for people, not for decisions. Bounded per host run by `host_runs.log_lines`.
create table host_run_log (
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  host_run_id uuid not null,
  seq integer not null check (seq >= 1),
  at timestamptz not null,
  step text,
  text text not null,
  primary key (tenant_id, host_run_id, seq)
);
select atlas_append_only_table('host_run_log');
