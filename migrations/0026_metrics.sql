-- Measures of hosts: raw for days, packed by the hour for months, rolled up for years.
-- Each table is a ring of partitions that exist from the beginning, so that the roles of the server need not own anything:
-- a partition holds one period (days, weeks, quarters), is emptied whole when the period is too old, and is then opened for
-- the next period that falls on its place. Times are whole minutes, hours and days since the Unix epoch, UTC.

-- Which period each partition is open for. A row for a period that is not open here is not taken.
create table metric_slots (
  ring text not null check (ring in ('samples', 'hours', 'days')),
  slot smallint not null check (slot >= 0),
  period integer not null check (period >= 0),
  primary key (ring, slot)
);
select atlas_system_table('metric_slots');

-- How far hours are packed: every hour before `packed_until` is; of that hour, the hosts up to the cursor are.
create table metric_packing (
  only_one boolean primary key default true check (only_one),
  packed_until integer not null,
  cursor_tenant uuid,
  cursor_host uuid
);
select atlas_system_table('metric_packing');

-- One wide row a sample; the scale of each column is in contract/metrics.ts. A place is a day modulo 8.
-- No foreign keys here and below: the agent was recognised by its certificate, and its host is never removed.
create table metric_samples (
  tenant_id uuid not null default atlas_current_tenant(),
  host_id uuid not null,
  minute integer not null,
  slot smallint not null,
  cpu_busy smallint,
  memory_used smallint,
  swap_used smallint,
  load1 smallint,
  root_used smallint,
  disk_throughput smallint,
  net_received smallint,
  net_sent smallint,
  check (slot = (minute / 1440) % 8),
  primary key (tenant_id, host_id, minute, slot)
) partition by list (slot);

-- The samples of one host and hour, in the form of metrics' packing.policy.ts. A place is seven days modulo 20.
create table metric_hours (
  tenant_id uuid not null default atlas_current_tenant(),
  host_id uuid not null,
  hour integer not null,
  slot smallint not null,
  packed bytea not null,
  check (slot = (hour / 168) % 20),
  primary key (tenant_id, host_id, hour, slot)
) partition by list (slot);

-- Least, mean and greatest values of one host and day: of the whole day, and of each hour. A place is 91 days modulo 24.
create table metric_days (
  tenant_id uuid not null default atlas_current_tenant(),
  host_id uuid not null,
  day integer not null,
  slot smallint not null,
  whole bytea not null,
  hours bytea not null,
  check (slot = (day / 91) % 24),
  primary key (tenant_id, host_id, day, slot)
) partition by list (slot);

-- Hours to which a sample came after they were over: packed once more.
create table metric_late_hours (
  tenant_id uuid not null default atlas_current_tenant(),
  host_id uuid not null,
  hour integer not null,
  primary key (tenant_id, host_id, hour)
);
select atlas_tenant_table('metric_late_hours');

-- Requests read; only the platform's own jobs write.
create function atlas_measures_table(target regclass, writes text) returns void
  language plpgsql
  as $$
  begin
    perform atlas_fence_table(target, 'tenant_id', 'insert');
    execute format('revoke insert on %s from atlas_app', target);
    execute format('grant %s on %s to atlas_system', writes, target);
  end
  $$;
select atlas_measures_table('metric_samples', 'insert');
select atlas_measures_table('metric_hours', 'update');
select atlas_measures_table('metric_days', 'update');
revoke insert, update, delete on metric_late_hours from atlas_app;

-- Compressed as soon as a row is no trifle, and kept in the row; lz4 where this server has it.
do $$
declare
  packed_column record;
begin
  for packed_column in
    select * from (values ('metric_hours', 'packed'), ('metric_days', 'whole'), ('metric_days', 'hours')) c (table_name, name)
  loop
    execute format('alter table %I alter column %I set storage main', packed_column.table_name, packed_column.name);
    begin
      execute format('alter table %I alter column %I set compression lz4', packed_column.table_name, packed_column.name);
    exception when feature_not_supported or invalid_parameter_value then
      raise notice 'this server has no lz4: % stays with its own compression', packed_column.table_name;
    end;
  end loop;
end
$$;

do $$
declare
  ring record;
  name text;
begin
  for ring in
    select * from (values
      ('metric_samples', 8, 'insert', '(autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.5)'),
      ('metric_hours', 20, 'update', '(toast_tuple_target = 128)'),
      ('metric_days', 24, 'update', '(toast_tuple_target = 128)')) r (parent, places, writes, settings)
  loop
    for place in 0 .. ring.places - 1 loop
      name := format('%s_%s', ring.parent, place);
      execute format('create table %I partition of %I for values in (%s) with %s', name, ring.parent, place, ring.settings);
      perform atlas_measures_table(name::regclass, ring.writes || ', truncate');
    end loop;
  end loop;
end
$$;
drop function atlas_measures_table(regclass, text);
