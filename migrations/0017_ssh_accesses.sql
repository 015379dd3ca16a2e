-- Hosts that SSH can reach, and which way each agent is reached now. The private keys are sealed secrets, not here.
create table ssh_accesses (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  site_id uuid not null,
  -- Null until the first contact has told which machine it is.
  host_id uuid,
  agent_id uuid,
  name text not null check (length(name) between 1 and 253),
  address text not null check (length(address) between 1 and 253),
  port integer not null check (port between 1 and 65535),
  username text not null check (length(username) between 1 and 32),
  host_key_type text not null,
  host_key text not null,
  public_key_fingerprint text not null,
  state text not null default 'prepared' check (state in ('prepared', 'starting', 'active')),
  fault text,
  fault_detail text,
  last_contact_at timestamptz,
  created_by uuid not null,
  created_at timestamptz not null default now(),
  unique (tenant_id, id),
  foreign key (tenant_id, site_id) references sites (tenant_id, id),
  foreign key (tenant_id, host_id) references hosts (tenant_id, id),
  foreign key (tenant_id, agent_id) references agents (tenant_id, id)
);
create unique index ssh_accesses_address on ssh_accesses (tenant_id, address, port);
create unique index ssh_accesses_host on ssh_accesses (tenant_id, host_id);
create index ssh_accesses_site on ssh_accesses (tenant_id, site_id);
create index ssh_accesses_agent on ssh_accesses (tenant_id, agent_id);
create index ssh_accesses_newest on ssh_accesses (tenant_id, id desc);
select atlas_tenant_table('ssh_accesses');

-- Which way the engine on the host is driven: by an agent that holds a connection, or by visits over SSH.
alter table agents add column reach text not null default 'agent' check (reach in ('agent', 'ssh'));

-- A host that is visited is called on every five minutes while nothing is under way: three missed visits are silence.
create or replace function atlas_agent_state(agent agents) returns text
  language sql stable parallel safe
  as $$
    select case
      when agent.revoked_at is not null then 'revoked'
      when agent.clone_suspected_at is not null then 'clone_suspected'
      when agent.last_seen_at is null then 'never_connected'
      when agent.connected_at is not null and agent.last_seen_at > now() - case agent.reach
        when 'ssh' then interval '15 minutes' else interval '45 seconds' end then 'connected'
      else 'silent'
    end
  $$;

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
  coalesce(atlas_agent_state(a), 'never_connected') as agent_state,
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
    when a.id is null or atlas_agent_state(a) <> 'connected' then 'unknown'
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
  select * from agents x where x.tenant_id = h.tenant_id and x.host_id = h.id order by x.id desc limit 1
) latest on true
left join agents a on a.id = latest.id
left join host_facts f on f.host_id = h.id
left join host_claims c on c.host_id = h.id;

create or replace view agent_overview with (security_invoker = true) as
select
  a.id,
  a.tenant_id,
  a.host_id,
  h.hostname,
  atlas_agent_state(a) as state,
  a.version,
  c.serial as certificate_serial,
  c.not_after as certificate_not_after,
  a.generation,
  a.last_seen_at,
  a.policy_epoch,
  a.witnessed_tree_size,
  a.enrolled_at,
  a.revoked_at,
  a.reach
from agents a
join hosts h on h.id = a.host_id
left join lateral (
  select x.serial, x.not_after
  from agent_certificates x
  where x.tenant_id = a.tenant_id and x.agent_id = a.id and x.generation = a.generation
  order by x.first_used_at desc nulls last, x.issued_at desc
  limit 1
) c on true;
