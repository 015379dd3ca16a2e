-- Programs that agents may become, as the customer's root keys signed them. The bytes are here so that every node hands
-- out the same, also on a site without any other network.
create table agent_builds (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  build_version text not null check (build_version ~ '^[0-9]+\.[0-9]+\.[0-9]+$'),
  sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
  document_sha256 text not null check (document_sha256 ~ '^[0-9a-f]{64}$'),
  envelope jsonb not null,
  artefact bytea not null check (length(artefact) between 1 and 720000),
  issued_at timestamptz not null,
  expires_at timestamptz not null,
  imported_by uuid not null,
  imported_at timestamptz not null default now(),
  unique (tenant_id, id),
  unique (tenant_id, document_sha256)
);
create index agent_builds_newest on agent_builds (tenant_id, id desc);
select atlas_append_only_table('agent_builds');

-- What a person asked: which build, which hosts first, and how long those must have been well before the others follow.
create table build_rollouts (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  build_id uuid not null,
  state text not null default 'running' check (state in ('running', 'halted', 'stopped', 'done')),
  why text,
  reason text not null check (length(reason) between 1 and 500),
  soak_minutes integer not null check (soak_minutes between 0 and 10080),
  requested_by uuid not null,
  started_at timestamptz not null default now(),
  ended_at timestamptz,
  unique (tenant_id, id),
  foreign key (tenant_id, build_id) references agent_builds (tenant_id, id),
  check ((state = 'running') = (ended_at is null))
);
create unique index build_rollouts_running on build_rollouts (tenant_id) where state = 'running';
create index build_rollouts_newest on build_rollouts (tenant_id, id desc);
create index build_rollouts_build on build_rollouts (tenant_id, build_id);
select atlas_tenant_table('build_rollouts');
revoke delete on build_rollouts from atlas_app, atlas_system;

-- One host in one rollout. Its agent takes the request once, however often it is delivered.
create table build_asks (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  rollout_id uuid not null,
  host_id uuid not null,
  position integer not null,
  ring smallint not null check (ring in (1, 2)),
  from_version text,
  state text not null default 'waiting'
    check (state in ('waiting', 'asked', 'updated', 'reverted', 'refused', 'dropped')),
  code text,
  detail text not null default '',
  asked_at timestamptz,
  ended_at timestamptz,
  foreign key (tenant_id, rollout_id) references build_rollouts (tenant_id, id),
  foreign key (tenant_id, host_id) references hosts (tenant_id, id)
);
create unique index build_asks_rollout on build_asks (tenant_id, rollout_id, host_id);
create index build_asks_host on build_asks (tenant_id, host_id, id desc);
create index build_asks_newest on build_asks (tenant_id, id desc);
create index build_asks_open on build_asks (tenant_id, rollout_id, position) where state in ('waiting', 'asked');
select atlas_tenant_table('build_asks');
revoke delete on build_asks from atlas_app, atlas_system;
