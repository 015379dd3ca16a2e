-- What hosts were told and what they answered. Both are only ever added to: the state of a command is read from its result.

create table commands (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  agent_id uuid not null,
  host_id uuid not null,
  verb text not null,
  release_id uuid,
  run_id uuid,
  host_run_id uuid,
  step text,
  attempt integer not null default 1 check (attempt >= 1),
  fence integer not null default 0 check (fence >= 0),
  created_at timestamptz not null default now(),
  -- A reading that nobody waits for any more is not delivered. Orders of a host run have the clocks of that run instead.
  expires_at timestamptz,
  foreign key (tenant_id, agent_id) references agents (tenant_id, id),
  check ((host_run_id is null) = (step is null)),
  check ((host_run_id is null) = (expires_at is not null))
);
create index commands_agent on commands (tenant_id, agent_id, id);
-- One order of a host run is one command, whoever sends it and however often.
create unique index commands_order on commands (host_run_id, fence, step, attempt) where host_run_id is not null;
select atlas_append_only_table('commands');

-- Signed results, one row a sequence number of an agent. `payload` and `signature` are kept as they came: they are the evidence.
-- No foreign key to commands: a host may report what it did by itself.
create table command_results (
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  agent_id uuid not null,
  seq bigint not null check (seq >= 1),
  command_id uuid not null,
  host_run_id uuid,
  outcome text not null check (outcome in ('succeeded', 'failed', 'refused', 'timeout', 'cancelled', 'indeterminate')),
  code text not null,
  payload bytea not null,
  signature bytea not null,
  received_at timestamptz not null default now(),
  primary key (tenant_id, agent_id, seq),
  foreign key (tenant_id, agent_id) references agents (tenant_id, id)
);
create index command_results_command on command_results (command_id);
create index command_results_host_run on command_results (host_run_id, seq) where host_run_id is not null;
select atlas_append_only_table('command_results');

-- A fresh table has no statistics, and a plan made without them can be a thousand times slower.
alter table commands set (autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 500);
alter table command_results set (autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 500);
