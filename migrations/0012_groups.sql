-- Redundancy sets, what one host has to do with another, and the hosts on which ATLAS itself runs.

-- `budget_hosts` members may be down at once ('max_unavailable') or must stay up ('min_up').
create table groups (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  name text not null check (length(name) between 1 and 120),
  description text not null default '' check (length(description) <= 1000),
  budget_kind text not null check (budget_kind in ('max_unavailable', 'min_up')),
  budget_hosts integer not null check (budget_hosts >= 0),
  -- Members are taken one after the other, by their position.
  ordered boolean not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  version integer not null default 1,
  unique (tenant_id, id)
);
create unique index groups_name on groups (tenant_id, lower(name));
select atlas_tenant_table('groups');
select atlas_versioned_table('groups');

create table group_members (
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  group_id uuid not null,
  host_id uuid not null,
  position integer not null check (position >= 0),
  primary key (tenant_id, group_id, host_id),
  foreign key (tenant_id, group_id) references groups (tenant_id, id) on delete cascade,
  foreign key (tenant_id, host_id) references hosts (tenant_id, id)
);
create index group_members_host on group_members (tenant_id, host_id);
select atlas_tenant_table('group_members');

-- One arrow of the graph: what `dependent_host_id` has to do with `provider_host_id`.
create table host_dependencies (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  dependent_host_id uuid not null,
  provider_host_id uuid not null,
  kind text not null check (kind in (
    'guest_before_hypervisor', 'guest_after_hypervisor', 'service_after_provider')),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  version integer not null default 1,
  check (dependent_host_id <> provider_host_id),
  unique (tenant_id, id),
  foreign key (tenant_id, dependent_host_id) references hosts (tenant_id, id),
  foreign key (tenant_id, provider_host_id) references hosts (tenant_id, id)
);
create unique index host_dependencies_arrow on host_dependencies (tenant_id, dependent_host_id, provider_host_id);
create index host_dependencies_provider on host_dependencies (tenant_id, provider_host_id);
select atlas_tenant_table('host_dependencies');
select atlas_versioned_table('host_dependencies');

-- Maintained last: while this host is down, so is ATLAS.
alter table hosts add column carries_atlas boolean not null default false;
create index hosts_atlas on hosts (tenant_id) where carries_atlas;
