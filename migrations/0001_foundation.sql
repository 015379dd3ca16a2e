-- Ground on which every feature stands: the fences of tenancy, people, tenants, sites, machine keys, outbox, sealed secrets.
-- Roles exist before: atlas_owner owns and migrates, atlas_app serves requests, atlas_system does listed platform jobs.

grant usage on schema public to atlas_app, atlas_system;
revoke create on schema public from public;

-- The tenant of this transaction. Unset or empty means no tenant, hence no rows.
create function atlas_current_tenant() returns uuid
  language sql stable parallel safe
  as $$ select nullif(current_setting('atlas.tenant_id', true), '')::uuid $$;

-- Each update of a versioned row counts, so that If-Match can tell an old reading from the current one.
create function atlas_count_version() returns trigger
  language plpgsql
  as $$
  begin
    new.version := old.version + 1;
    new.updated_at := now();
    return new;
  end
  $$;

create function atlas_versioned_table(target regclass) returns void
  language plpgsql
  as $$
  begin
    execute format(
      'create trigger count_version before update on %s for each row execute function atlas_count_version()', target);
  end
  $$;

-- The wall, the scope and the grants of one tenant table. The restrictive policy stays when somebody adds a permissive one.
create function atlas_fence_table(target regclass, tenant_column name, writes text) returns void
  language plpgsql
  as $$
  declare
    own text := format('%I = atlas_current_tenant()', tenant_column);
  begin
    if not exists (
      select 1
      from pg_index i
      join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
      where i.indrelid = target and a.attname = tenant_column
    ) then
      raise exception 'table % has no index that begins with %', target, tenant_column;
    end if;
    execute format('alter table %s enable row level security', target);
    execute format('alter table %s force row level security', target);
    execute format(
      'create policy tenant_wall on %s as restrictive for all to atlas_app using (%s) with check (%s)', target, own, own);
    execute format(
      'create policy tenant_scope on %s as permissive for all to atlas_app using (%s) with check (%s)', target, own, own);
    execute format(
      'create policy system_scope on %s as permissive for all to atlas_system using (true) with check (true)', target);
    execute format('revoke all on %s from public', target);
    execute format('grant select, %s on %s to atlas_app, atlas_system', writes, target);
  end
  $$;

-- Call after the table's indexes exist.
create function atlas_tenant_table(target regclass, tenant_column name default 'tenant_id') returns void
  language sql
  as $$ select atlas_fence_table(target, tenant_column, 'insert, update, delete') $$;

-- Rows that nobody changes or removes once written.
create function atlas_append_only_table(target regclass, tenant_column name default 'tenant_id') returns void
  language sql
  as $$ select atlas_fence_table(target, tenant_column, 'insert') $$;

-- Rows of the platform itself: requests never see them.
create function atlas_system_table(target regclass) returns void
  language plpgsql
  as $$
  begin
    execute format('alter table %s enable row level security', target);
    execute format('alter table %s force row level security', target);
    execute format(
      'create policy system_scope on %s as permissive for all to atlas_system using (true) with check (true)', target);
    execute format('revoke all on %s from public', target);
    execute format('grant select, insert, update, delete on %s to atlas_system', target);
  end
  $$;

create table tenants (
  id uuid primary key,
  name text not null check (length(name) between 1 and 120),
  slug text not null unique check (slug ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
  colour text not null default 'slate'
    check (colour in ('slate', 'blue', 'teal', 'green', 'olive', 'orange', 'brown', 'rose', 'violet')),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  version integer not null default 1
);
select atlas_tenant_table('tenants', 'id');
-- A tenant is made inside its own scope, with its first audit entry; nobody removes one in passing.
revoke delete on tenants from atlas_app;
select atlas_versioned_table('tenants');

create table sites (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  name text not null check (length(name) between 1 and 120),
  time_zone text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  version integer not null default 1,
  -- Target of composite keys: a row of one tenant cannot point at a site of another.
  unique (tenant_id, id)
);
create unique index sites_name on sites (tenant_id, lower(name));
select atlas_tenant_table('sites');
select atlas_versioned_table('sites');

-- People belong to the platform: one person may work for several tenants. `subject` is the identity provider's.
create table people (
  id uuid primary key,
  subject text not null unique check (length(subject) between 1 and 255),
  username text not null,
  name text not null check (length(name) between 1 and 200),
  email text,
  locale text not null default 'fr' check (locale in ('fr', 'en')),
  platform_admin boolean not null default false,
  disabled_at timestamptz,
  last_seen_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  version integer not null default 1
);
create index people_username on people (lower(username));
select atlas_versioned_table('people');

create table memberships (
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  person_id uuid not null references people (id),
  roles text[] not null
    check (roles <@ array['tenant_admin', 'operator', 'approver', 'auditor', 'client_viewer']),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  version integer not null default 1,
  primary key (tenant_id, person_id)
);
create index memberships_person on memberships (person_id);
select atlas_tenant_table('memberships');
select atlas_versioned_table('memberships');

-- A request sees a person only through a membership that it sees.
select atlas_system_table('people');
create policy member_scope on people as permissive for select to atlas_app
  using (exists (select 1 from memberships m where m.person_id = people.id));
grant select on people to atlas_app;

create table api_keys (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  name text not null check (length(name) between 1 and 120),
  secret_sha256 bytea not null check (length(secret_sha256) = 32),
  scopes text[] not null,
  created_by uuid not null references people (id),
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  last_used_at timestamptz,
  revoked_at timestamptz
);
create index api_keys_tenant on api_keys (tenant_id, id);
create index api_keys_created_by on api_keys (created_by);
select atlas_tenant_table('api_keys');

-- Sessions of the identity provider that we have seen, and those that it has ended (OpenID Connect Back-Channel Logout 1.0).
-- Kept until every token of theirs is dead.
create table sessions (
  sid text primary key check (length(sid) between 1 and 200),
  subject text not null,
  seen_at timestamptz not null default now(),
  revoked_at timestamptz,
  expires_at timestamptz not null
);
create index sessions_subject on sessions (subject);
create index sessions_expiry on sessions (expires_at);
select atlas_system_table('sessions');

-- What must be said to others once the transaction has committed. `xact` lets the relay read in an order that cannot skip a late commit.
create table outbox (
  id bigint generated always as identity primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  topic text not null,
  payload jsonb not null,
  xact xid8 not null default pg_current_xact_id(),
  created_at timestamptz not null default now()
);
create index outbox_order on outbox (xact, id);
create index outbox_tenant on outbox (tenant_id);
select atlas_append_only_table('outbox');
grant delete on outbox to atlas_system;

-- Secrets under envelope encryption: the data key is wrapped by the key-encryption key, which is never in the database.
create table sealed_secrets (
  name text primary key check (length(name) between 1 and 200),
  wrapped_key bytea not null,
  sealed bytea not null,
  created_at timestamptz not null default now()
);
select atlas_system_table('sealed_secrets');
