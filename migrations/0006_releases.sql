-- A release is the request for signatures over one plan, and, once approved, the authority of one run.
create table releases (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  plan_id uuid not null,
  run_id uuid not null unique,
  class text not null check (class in ('R1', 'R2', 'R3')),
  policy_epoch integer not null,
  state text not null check (state in ('awaiting_signatures', 'approved', 'refused', 'expired')),
  requester_id uuid not null,
  reason text not null,
  not_before timestamptz not null,
  not_after timestamptz not null,
  payload bytea not null,
  payload_sha256 text not null check (payload_sha256 ~ '^[0-9a-f]{64}$'),
  targets_count integer not null check (targets_count > 0),
  signatures_needed integer not null check (signatures_needed >= 1),
  -- The `release.approved` entry: nothing is dispatched before it is sealed.
  approved_entry_id uuid,
  approved_at timestamptz,
  refused_by uuid,
  refused_at timestamptz,
  refusal_reason text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  version integer not null default 1,
  unique (tenant_id, id),
  foreign key (tenant_id, plan_id) references plans (tenant_id, id),
  check ((state = 'approved') = (approved_entry_id is not null))
);
create index releases_newest on releases (tenant_id, id desc);
create index releases_open on releases (tenant_id, state) where state = 'awaiting_signatures';
-- One request at a time, and never a second authority for the same plan.
create unique index releases_live_plan on releases (tenant_id, plan_id) where state in ('awaiting_signatures', 'approved');
create index releases_plan on releases (tenant_id, plan_id);
select atlas_tenant_table('releases');
select atlas_versioned_table('releases');
revoke delete on releases from atlas_app, atlas_system;

-- Leaves of the signed tree, in order.
create table release_targets (
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  release_id uuid not null,
  leaf_index integer not null check (leaf_index >= 0),
  host_id uuid not null,
  agent_id uuid not null,
  document bytea not null,
  primary key (release_id, leaf_index),
  unique (release_id, host_id),
  foreign key (tenant_id, release_id) references releases (tenant_id, id)
);
create index release_targets_tenant on release_targets (tenant_id, release_id);
select atlas_append_only_table('release_targets');

create table release_signatures (
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  release_id uuid not null,
  person_id uuid not null,
  key_id text not null,
  custody text not null check (custody in ('hardware', 'platform', 'software')),
  signature jsonb not null,
  created_at timestamptz not null default now(),
  -- A threshold counts people, never keys.
  primary key (release_id, person_id),
  foreign key (tenant_id, release_id) references releases (tenant_id, id)
);
create index release_signatures_tenant on release_signatures (tenant_id, release_id);
select atlas_append_only_table('release_signatures');
