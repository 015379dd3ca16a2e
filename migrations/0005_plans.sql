-- Maintenance policies change; plans made from them never do.
create table maintenance_policies (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  name text not null check (length(name) between 1 and 120),
  body jsonb not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  removed_at timestamptz,
  version integer not null default 1,
  unique (tenant_id, id)
);
create unique index maintenance_policies_name on maintenance_policies (tenant_id, lower(name)) where removed_at is null;
select atlas_tenant_table('maintenance_policies');
select atlas_versioned_table('maintenance_policies');

-- `document` is the JCS form whose digest people release; `preview` is what they were shown.
create table plans (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  title text not null check (length(title) between 1 and 160),
  policy_id uuid not null,
  policy_name text not null,
  not_before timestamptz not null,
  not_after timestamptz not null check (not_after > not_before),
  document bytea not null,
  document_sha256 text not null check (document_sha256 ~ '^[0-9a-f]{64}$'),
  preview jsonb not null,
  counts jsonb not null,
  created_by uuid not null,
  created_at timestamptz not null default now(),
  unique (tenant_id, id),
  foreign key (tenant_id, policy_id) references maintenance_policies (tenant_id, id)
);
create index plans_newest on plans (tenant_id, id desc);
create index plans_policy on plans (tenant_id, policy_id);
select atlas_append_only_table('plans');
