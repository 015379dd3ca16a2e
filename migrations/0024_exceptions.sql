-- Decisions not to install updates for a time. A request is written once and never changed; decisions are added to it.
create table exceptions (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  -- Both null: every update.
  update_name text check (length(update_name) between 1 and 128),
  update_version text check (length(update_version) between 1 and 128),
  place_kind text not null check (place_kind in ('host', 'group', 'site', 'tenant')),
  -- No foreign key: a group may be removed, and what was decided about it stays readable.
  place_id uuid,
  place_name text,
  reason text not null check (length(reason) between 1 and 1000),
  compensation text not null check (length(compensation) between 1 and 2000),
  owner_id uuid not null,
  expires_at timestamptz not null,
  requested_by uuid not null,
  requested_at timestamptz not null,
  check ((update_name is null) = (update_version is null)),
  check ((place_kind = 'tenant') = (place_id is null)),
  check ((place_kind = 'tenant') = (place_name is null)),
  check (expires_at > requested_at and expires_at <= requested_at + interval '365 days'),
  unique (tenant_id, id)
);
create index exceptions_newest on exceptions (tenant_id, id desc);
create index exceptions_end on exceptions (tenant_id, expires_at, id);
select atlas_append_only_table('exceptions');

-- The first decision approves, refuses or takes the request back; a second one can only revoke. The key refuses a third,
-- and the slower of two people who decide at the same moment.
create table exception_decisions (
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  exception_id uuid not null,
  seq integer not null check (seq in (1, 2)),
  decision text not null check (decision in ('approved', 'refused', 'revoked')),
  reason text not null check (length(reason) between 1 and 500),
  decided_by uuid not null,
  decided_at timestamptz not null,
  primary key (tenant_id, exception_id, seq),
  foreign key (tenant_id, exception_id) references exceptions (tenant_id, id),
  check (seq = 1 or decision = 'revoked')
);
select atlas_append_only_table('exception_decisions');

-- Which plans rest on which exceptions, so that a plan and its run can say when one of them has ended since.
create table plan_exceptions (
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  plan_id uuid not null,
  exception_id uuid not null,
  primary key (tenant_id, plan_id, exception_id),
  foreign key (tenant_id, plan_id) references plans (tenant_id, id),
  foreign key (tenant_id, exception_id) references exceptions (tenant_id, id)
);
create index plan_exceptions_exception on plan_exceptions (tenant_id, exception_id);
select atlas_append_only_table('plan_exceptions');

-- The hosts for which an exception was asked, as hosts, sites and groups are now.
create view exception_hosts with (security_invoker = true) as
select e.tenant_id, e.id as exception_id, h.id as host_id
from exceptions e
join hosts h on h.tenant_id = e.tenant_id
where case e.place_kind
  when 'tenant' then true
  when 'host' then h.id = e.place_id
  when 'site' then h.site_id = e.place_id
  else exists (
    select 1 from group_members m where m.tenant_id = e.tenant_id and m.group_id = e.place_id and m.host_id = h.id)
end;
grant select on exception_hosts to atlas_app, atlas_system;

-- What people have made of each exception; the time alone ends one that nobody revoked.
create view exception_verdicts with (security_invoker = true) as
select e.tenant_id, e.id as exception_id, newest.decision, newest.decided_at,
  coalesce(opening.decision = 'approved', false) as was_approved
from exceptions e
left join exception_decisions opening
  on opening.tenant_id = e.tenant_id and opening.exception_id = e.id and opening.seq = 1
left join lateral (
  select d.decision, d.decided_at from exception_decisions d
  where d.tenant_id = e.tenant_id and d.exception_id = e.id order by d.seq desc limit 1) newest on true;
grant select on exception_verdicts to atlas_app, atlas_system;
