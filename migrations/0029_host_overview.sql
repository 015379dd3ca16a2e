-- The newest agent of a host is one entry of an index, and its state is worked out once a host: lists of a thousand hosts
-- are read by people who wait.
create index agents_latest on agents (tenant_id, host_id, id desc);
drop index agents_host;

create or replace view host_overview with (security_invoker = true) as
select
  h.id,
  h.tenant_id,
  h.hostname,
  h.site_id,
  s.name as site_name,
  h.tags,
  h.health_checks,
  h.version,
  h.created_at,
  a.id as agent_id,
  coalesce(a.state, 'never_connected') as agent_state,
  a.last_seen_at,
  f.os_name,
  f.pending_updates,
  f.pending_security,
  f.restart_required,
  f.guard_tier,
  f.collected_at,
  c.run_id as active_run_id,
  case
    when c.run_id is not null then 'in_run'
    when a.clone_suspected_at is not null then 'attention'
    when a.id is null or a.state <> 'connected' then 'unknown'
    -- Facts of yesterday say nothing about today.
    when f.collected_at is null or f.received_at < now() - interval '24 hours' then 'unknown'
    when f.updates_error is not null or f.failed_units > 0 then 'attention'
    when f.restart_required then 'restart_required'
    when f.pending_security > 0 then 'security_pending'
    when f.pending_updates > 0 then 'updates_pending'
    else 'up_to_date'
  end as status,
  coalesce(a.reach, 'agent') as reach
from hosts h
join sites s on s.id = h.site_id
left join lateral (
  select x.id, x.last_seen_at, x.clone_suspected_at, x.reach, atlas_agent_state(x) as state
  from agents x where x.tenant_id = h.tenant_id and x.host_id = h.id order by x.id desc limit 1
) a on true
left join host_facts f on f.host_id = h.id
left join host_claims c on c.host_id = h.id;
