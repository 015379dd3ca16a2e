-- Maintenance windows and freezes: rules on local time. What a plan took from them is in the plan and never changes.
create table windows (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  name text not null check (length(name) between 1 and 120),
  -- Null: for every site.
  site_id uuid,
  body jsonb not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  removed_at timestamptz,
  version integer not null default 1,
  unique (tenant_id, id),
  foreign key (tenant_id, site_id) references sites (tenant_id, id)
);
create unique index windows_name on windows (tenant_id, lower(name)) where removed_at is null;
create index windows_site on windows (tenant_id, site_id);
select atlas_tenant_table('windows');
select atlas_versioned_table('windows');

create table freezes (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  name text not null check (length(name) between 1 and 120),
  site_id uuid,
  body jsonb not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  removed_at timestamptz,
  version integer not null default 1,
  unique (tenant_id, id),
  foreign key (tenant_id, site_id) references sites (tenant_id, id)
);
create unique index freezes_name on freezes (tenant_id, lower(name)) where removed_at is null;
create index freezes_site on freezes (tenant_id, site_id);
select atlas_tenant_table('freezes');
select atlas_versioned_table('freezes');

-- Every site has a window from its first day: Saturday 20:00 to Sunday 12:00 on its own clock. The owner sees rows only without the fence.
alter table sites no force row level security;
alter table windows no force row level security;
insert into windows (id, tenant_id, name, site_id, body)
select gen_random_uuid(), tenant_id, left(name, 100) || ' · week-end', id, jsonb_build_object(
  'name', left(name, 100) || ' · week-end', 'siteId', id, 'timeZone', time_zone, 'startsOn', '2026-01-03',
  'startTime', '20:00', 'rule', 'FREQ=WEEKLY;BYDAY=SA', 'durationMinutes', 960,
  'startCutOffMinutes', 120, 'rebootReserveMinutes', 60, 'hardStopMinutes', 60)
from sites
on conflict do nothing;
alter table sites force row level security;
alter table windows force row level security;
