-- Hosts, the agents on them, their certificates, and how they come in.

-- The certificate authority of one tenant. Its root key is kept offline by the customer; the issuing key is a sealed secret.
create table tenant_authorities (
  tenant_id uuid primary key default atlas_current_tenant() references tenants (id),
  root_certificate bytea not null,
  issuing_certificate bytea not null,
  issuing_not_after timestamptz not null,
  created_at timestamptz not null default now()
);
select atlas_append_only_table('tenant_authorities');

create table hosts (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  site_id uuid not null,
  hostname text not null check (length(hostname) between 1 and 253),
  machine_id text not null check (machine_id ~ '^[0-9a-f]{64}$'),
  tags text[] not null default '{}',
  health_checks jsonb not null,
  -- Suggestions from an inventory never replace what a person chose.
  health_checks_chosen boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  version integer not null default 1,
  unique (tenant_id, id),
  unique (tenant_id, machine_id, hostname),
  foreign key (tenant_id, site_id) references sites (tenant_id, id)
);
create index hosts_hostname on hosts (tenant_id, hostname, id);
create index hosts_site on hosts (tenant_id, site_id);
create index hosts_tags on hosts using gin (tags);
select atlas_tenant_table('hosts');
select atlas_versioned_table('hosts');

-- What the agent last said about its host, whole, and the numbers that lists sort by. Apart from `hosts`, so that a scan is no edit.
create table host_facts (
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  host_id uuid primary key,
  inventory jsonb not null,
  collected_at timestamptz not null,
  received_at timestamptz not null default now(),
  os_name text not null,
  guard_tier text not null check (guard_tier in ('btrfs', 'none')),
  restart_required boolean not null,
  pending_updates integer not null check (pending_updates >= 0),
  pending_security integer not null check (pending_security >= 0),
  failed_units integer not null check (failed_units >= 0),
  -- Why the host could not read its package lists: the counts say nothing then.
  updates_error text,
  foreign key (tenant_id, host_id) references hosts (tenant_id, id) on delete cascade
);
create index host_facts_tenant on host_facts (tenant_id, host_id);
select atlas_tenant_table('host_facts');

-- One host is in one run at a time: the key refuses the second.
create table host_claims (
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  host_id uuid primary key,
  run_id uuid not null,
  claimed_at timestamptz not null default now(),
  foreign key (tenant_id, host_id) references hosts (tenant_id, id)
);
create index host_claims_tenant on host_claims (tenant_id, host_id);
create index host_claims_run on host_claims (run_id);
select atlas_tenant_table('host_claims');

create table agents (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  host_id uuid not null,
  -- Counts certificates: the highest that has been used. A lower one that comes back is a copy.
  generation integer not null default 1 check (generation >= 1),
  -- Ed25519 SubjectPublicKeyInfo: the key with which the agent signs results.
  result_public_key bytea not null,
  version text,
  enrolled_at timestamptz not null default now(),
  revoked_at timestamptz,
  revoked_reason text,
  clone_suspected_at timestamptz,
  clone_evidence jsonb,
  connected_at timestamptz,
  last_seen_at timestamptz,
  boot_id text,
  booted_at timestamptz,
  policy_epoch integer not null default 0,
  lock_serial integer not null default 0,
  witnessed_tree_size bigint not null default 0,
  guard_armed_until timestamptz,
  unique (tenant_id, id),
  foreign key (tenant_id, host_id) references hosts (tenant_id, id)
) with (fillfactor = 70);
create index agents_newest on agents (tenant_id, id desc);
create index agents_host on agents (tenant_id, host_id);
create unique index agents_live_host on agents (host_id) where revoked_at is null;
select atlas_tenant_table('agents');

-- Every certificate that was ever issued to an agent; one that is not here opens nothing.
create table agent_certificates (
  sha256 bytea primary key check (length(sha256) = 32),
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  agent_id uuid not null,
  generation integer not null check (generation >= 1),
  serial text not null check (serial ~ '^[0-9a-f]{2,40}$'),
  not_after timestamptz not null,
  issued_at timestamptz not null default now(),
  first_used_at timestamptz,
  foreign key (tenant_id, agent_id) references agents (tenant_id, id)
);
create index agent_certificates_agent on agent_certificates (tenant_id, agent_id, generation);
select atlas_tenant_table('agent_certificates');

-- One-time tokens: only the hash of the secret is kept.
create table enrolment_tokens (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  site_id uuid not null,
  note text,
  secret_sha256 bytea not null check (length(secret_sha256) = 32),
  -- A person or a machine key.
  created_by uuid not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  used_at timestamptz,
  used_by_host_id uuid,
  revoked_at timestamptz,
  foreign key (tenant_id, site_id) references sites (tenant_id, id),
  foreign key (tenant_id, used_by_host_id) references hosts (tenant_id, id),
  check (used_at is null or revoked_at is null)
);
create index enrolment_tokens_newest on enrolment_tokens (tenant_id, id desc);
create index enrolment_tokens_site on enrolment_tokens (tenant_id, site_id);
create index enrolment_tokens_host on enrolment_tokens (tenant_id, used_by_host_id);
select atlas_tenant_table('enrolment_tokens');

-- Is an agent there? Computed, never stored: a row that says "connected" and has gone quiet is silent.
-- Agents speak every 10 s; 45 s are three missed heartbeats and the delay with which they are written down.
create function atlas_agent_state(agent agents) returns text
  language sql stable parallel safe
  as $$
    select case
      when agent.revoked_at is not null then 'revoked'
      when agent.clone_suspected_at is not null then 'clone_suspected'
      when agent.last_seen_at is null then 'never_connected'
      when agent.connected_at is not null and agent.last_seen_at > now() - interval '45 seconds' then 'connected'
      else 'silent'
    end
  $$;

-- One row a host with the facts that lists show. The one word is computed from them; an absent host is unknown, never compliant.
create view host_overview with (security_invoker = true) as
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
  end as status
from hosts h
join sites s on s.id = h.site_id
left join lateral (
  select * from agents x where x.tenant_id = h.tenant_id and x.host_id = h.id order by x.id desc limit 1
) latest on true
left join agents a on a.id = latest.id
left join host_facts f on f.host_id = h.id
left join host_claims c on c.host_id = h.id;
grant select on host_overview to atlas_app, atlas_system;

-- One row an agent with the certificate that it uses.
create view agent_overview with (security_invoker = true) as
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
  a.revoked_at
from agents a
join hosts h on h.id = a.host_id
left join lateral (
  select x.serial, x.not_after
  from agent_certificates x
  where x.tenant_id = a.tenant_id and x.agent_id = a.id and x.generation = a.generation
  order by x.first_used_at desc nulls last, x.issued_at desc
  limit 1
) c on true;
grant select on agent_overview to atlas_app, atlas_system;
