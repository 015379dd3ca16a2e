-- What became of each installation of an update, as far as the update can answer for it.
create table update_tries (
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  name text not null,
  update_version text not null,
  host_run_id uuid not null,
  host_id uuid not null,
  hostname text not null,
  -- Null: it went well. Otherwise the decision that ended it.
  failed_with text,
  tried_at timestamptz not null default now(),
  primary key (tenant_id, name, update_version, host_run_id)
);
select atlas_append_only_table('update_tries');
alter table update_tries set (autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 500);

-- Updates that are not installed any more until a person says so. A row is never removed: it is part of the evidence.
create table update_quarantines (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  name text not null,
  update_version text not null,
  evidence jsonb not null,
  started_at timestamptz not null default now(),
  lifted_at timestamptz,
  lifted_by uuid,
  lift_reason text,
  check ((lifted_at is null) = (lift_reason is null))
);
create unique index update_quarantines_active on update_quarantines (tenant_id, name, update_version) where lifted_at is null;
create index update_quarantines_update on update_quarantines (tenant_id, name, update_version, id desc);
create index update_quarantines_tenant on update_quarantines (tenant_id, id desc);
select atlas_tenant_table('update_quarantines');
revoke delete on update_quarantines from atlas_app, atlas_system;

-- A tenant without a row has the defaults.
create table quarantine_rules (
  tenant_id uuid primary key default atlas_current_tenant() references tenants (id),
  hosts integer not null check (hosts between 1 and 1000),
  percent integer not null check (percent between 1 and 100)
);
select atlas_tenant_table('quarantine_rules');
