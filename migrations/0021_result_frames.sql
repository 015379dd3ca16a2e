-- What agents sign is kept once for each signature, however many results it covers, and the audit log speaks of readings
-- many at a time. Orders of host runs keep a row and an entry each.

-- What an agent signed, byte for byte: the evidence. Each frame adds the results `first_seq` to `last_seq` of its agent.
-- `entry_id` is the entry of the audit log whose digest is the root over the payloads of all frames that name it; null when
-- it answers orders only, each of which has an entry of its own.
-- No foreign key: the agent was recognised by its certificate, and its row is never removed.
create table result_frames (
  tenant_id uuid not null default atlas_current_tenant(),
  agent_id uuid not null,
  first_seq bigint not null check (first_seq >= 1),
  last_seq bigint not null,
  entry_id uuid,
  signature bytea not null,
  payload bytea not null,
  received_at timestamptz not null default now(),
  primary key (tenant_id, agent_id, last_seq),
  check (last_seq >= first_seq)
);
select atlas_append_only_table('result_frames');
alter table result_frames set (autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 500);

-- The owner is behind the fence like everybody: it opens it for itself to move what is there.
alter table result_frames no force row level security;
alter table command_results no force row level security;

-- Before there were frames, each result was signed alone; its bytes stay what they were.
insert into result_frames (tenant_id, agent_id, first_seq, last_seq, signature, payload, received_at)
select tenant_id, agent_id, seq, seq, signature, payload, received_at from command_results;

-- From here on results of orders only: what the engine looks for. `frame_seq` is the last number of the frame that holds it.
delete from command_results where host_run_id is null;
alter table command_results add column frame_seq bigint;
update command_results set frame_seq = seq;
alter table command_results
  drop column payload,
  drop column signature,
  alter column frame_seq set not null,
  alter column host_run_id set not null;
alter table result_frames force row level security;
alter table command_results force row level security;

-- A reading names the entry of the audit log that speaks of it. Whoever writes it has compared it with the agent's row in
-- the same statement, so that the two foreign keys would only do that again, and lock the rows of agents for it.
alter table commands
  add column entry_id uuid,
  drop constraint commands_pkey,
  drop constraint commands_tenant_id_fkey,
  drop constraint commands_tenant_id_agent_id_fkey;
drop index commands_agent;
-- Rows come in the order of their entries: a verification finds them by range, and the index costs nearly nothing.
create index commands_entry on commands using brin (entry_id);
create index result_frames_entry on result_frames using brin (entry_id);
alter table commands add primary key (tenant_id, agent_id, id);
-- Orders are also asked for by their identifier; readings, which are many, never are.
create unique index commands_order_id on commands (tenant_id, id) where host_run_id is not null;
