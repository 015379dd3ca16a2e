-- Who is told of coming maintenance. Without a row: the roles that the server names.
create table notice_settings (
  tenant_id uuid primary key default atlas_current_tenant() references tenants (id),
  roles text[] not null
    check (roles <@ array['tenant_admin', 'operator', 'approver', 'auditor', 'client_viewer']),
  addresses jsonb not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  version integer not null default 1
);
select atlas_tenant_table('notice_settings');
select atlas_versioned_table('notice_settings');

-- What people are told about one released run; at most one notice of each kind, so that nothing is said twice.
create table notices (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  plan_id uuid not null,
  run_id uuid not null,
  kind text not null check (kind in ('planned', 'emergency', 'cancelled', 'postponed', 'missed')),
  -- What the mail says: title, times, sites, reason.
  facts jsonb not null,
  due_at timestamptz not null,
  state text not null default 'waiting'
    check (state in ('waiting', 'sending', 'sent', 'partly_sent', 'failed', 'nobody', 'mail_off', 'superseded')),
  without_address integer not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  ended_at timestamptz,
  version integer not null default 1,
  unique (tenant_id, id),
  unique (tenant_id, run_id, kind),
  foreign key (tenant_id, plan_id) references plans (tenant_id, id),
  foreign key (tenant_id, run_id) references runs (tenant_id, id)
);
create index notices_plan on notices (tenant_id, plan_id);
create index notices_due on notices (due_at) where state in ('waiting', 'sending');
select atlas_tenant_table('notices');
select atlas_versioned_table('notices');
revoke delete on notices from atlas_app, atlas_system;

-- One mail to one address. `sending` is committed before a word is said to the relay: after a crash the lease tells
-- that its answer was lost.
create table notice_mails (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  notice_id uuid not null,
  person_id uuid references people (id),
  address text not null,
  locale text not null check (locale in ('fr', 'en')),
  state text not null default 'waiting' check (state in ('waiting', 'sending', 'sent', 'failed', 'withdrawn')),
  attempts integer not null default 0,
  next_attempt_at timestamptz,
  lease_until timestamptz,
  reply text,
  maybe_twice boolean not null default false,
  ended_at timestamptz,
  foreign key (tenant_id, notice_id) references notices (tenant_id, id)
);
-- Nobody is written to twice for the same notice.
create unique index notice_mails_once on notice_mails (tenant_id, notice_id, lower(address));
create index notice_mails_person on notice_mails (person_id);
create index notice_mails_due on notice_mails (next_attempt_at) where state = 'waiting';
create index notice_mails_leased on notice_mails (lease_until) where state = 'sending';
select atlas_tenant_table('notice_mails');
