-- The audit log. Nobody but the owner can change or remove a row, and the sealed tree shows it when the owner does.

-- What happened, written in the transaction in which it happened. `leaf` is the truth, byte for byte;
-- the other columns repeat parts of it for search, and a verification compares them with it.
-- No foreign key: the log outlives what it speaks of.
create table audit_entries (
  tenant_id uuid not null default atlas_current_tenant(),
  entry_id uuid not null,
  leaf bytea not null check (length(leaf) between 2 and 65535),
  at timestamptz not null,
  action text not null,
  actor_kind text not null,
  actor_id uuid,
  subject_type text not null,
  subject_id uuid,
  outcome text not null,
  primary key (tenant_id, entry_id)
);
create index audit_entries_action on audit_entries (tenant_id, action, entry_id);
create index audit_entries_actor on audit_entries (tenant_id, actor_id, entry_id) where actor_id is not null;
create index audit_entries_subject on audit_entries (tenant_id, subject_id, entry_id) where subject_id is not null;
select atlas_append_only_table('audit_entries');

-- Entries that wait for their place in the tree. Written with the entry, removed with the sealing:
-- whatever the order in which transactions commit, none can be overtaken and forgotten.
create table audit_pending (
  tenant_id uuid not null default atlas_current_tenant(),
  entry_id uuid not null,
  primary key (tenant_id, entry_id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
select atlas_append_only_table('audit_pending');
grant delete on audit_pending to atlas_system;

-- The place of each entry in its tenant's tree.
create table audit_leaves (
  tenant_id uuid not null,
  leaf_index bigint not null check (leaf_index >= 0),
  entry_id uuid not null,
  leaf_hash bytea not null check (length(leaf_hash) = 32),
  primary key (tenant_id, leaf_index),
  unique (tenant_id, entry_id)
);
select atlas_append_only_table('audit_leaves');
revoke insert on audit_leaves from atlas_app;

-- Full tiles of 256 hashes (C2SP tlog-tiles): they never change. `root` is the tile's entry one level above.
create table audit_tiles (
  tenant_id uuid not null,
  level smallint not null check (level between 0 and 7),
  tile_index bigint not null check (tile_index >= 0),
  hashes bytea not null check (length(hashes) = 8192),
  root bytea not null check (length(root) = 32),
  primary key (tenant_id, level, tile_index)
);
select atlas_append_only_table('audit_tiles');
revoke insert on audit_tiles from atlas_app;

-- Every signed checkpoint. `leaf_hashes` are the leaves that it added: with the signature they say which row was changed.
create table audit_checkpoints (
  tenant_id uuid not null,
  tree_size bigint not null check (tree_size > 0),
  root bytea not null check (length(root) = 32),
  note text not null,
  leaf_hashes bytea not null check (length(leaf_hashes) % 32 = 0),
  at timestamptz not null,
  primary key (tenant_id, tree_size)
);
select atlas_append_only_table('audit_checkpoints');
revoke insert on audit_checkpoints from atlas_app;

-- The last cosignature of each agent. A row that disagrees with the log is evidence: it is never replaced.
create table audit_witness (
  tenant_id uuid not null default atlas_current_tenant(),
  agent_id uuid not null,
  tree_size bigint not null check (tree_size >= 0),
  root bytea not null check (length(root) = 32),
  signature bytea not null,
  public_key bytea not null,
  agrees boolean not null,
  at timestamptz not null,
  primary key (tenant_id, agent_id)
);
select atlas_append_only_table('audit_witness');
grant update on audit_witness to atlas_app, atlas_system;
