-- What takes the place of a run that missed its window or was postponed. The plan that follows must be released anew.
create table run_replacements (
  run_id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  plan_id uuid not null,
  cause text not null check (cause in ('missed', 'postponed')),
  policy text check (policy in ('ask', 'next_occurrence', 'skip')),
  state text not null check (state in ('pending', 'asks', 'replanned', 'skipped')),
  host_ids uuid[] not null,
  obstacle text,
  next_plan_id uuid,
  reason text,
  decided_by uuid,
  decided_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  version integer not null default 1,
  foreign key (tenant_id, run_id) references runs (tenant_id, id),
  foreign key (tenant_id, plan_id) references plans (tenant_id, id),
  foreign key (tenant_id, next_plan_id) references plans (tenant_id, id),
  check ((state = 'replanned') = (next_plan_id is not null))
);
create index run_replacements_run on run_replacements (tenant_id, run_id);
create index run_replacements_plan on run_replacements (tenant_id, plan_id);
create index run_replacements_next on run_replacements (tenant_id, next_plan_id);
create index run_replacements_open on run_replacements (state) where state in ('pending', 'asks');
select atlas_tenant_table('run_replacements');
select atlas_versioned_table('run_replacements');
revoke delete on run_replacements from atlas_app, atlas_system;

-- Emergencies are documented after their end; a text is written once.
create table emergency_reports (
  run_id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  reason text not null,
  text text,
  written_by uuid,
  written_at timestamptz,
  created_at timestamptz not null default now(),
  foreign key (tenant_id, run_id) references runs (tenant_id, id),
  check ((text is null) = (written_at is null))
);
create index emergency_reports_run on emergency_reports (tenant_id, run_id);
select atlas_tenant_table('emergency_reports');
revoke delete on emergency_reports from atlas_app, atlas_system;
