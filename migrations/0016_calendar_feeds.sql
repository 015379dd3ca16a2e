-- Calendar addresses of sites: whoever holds one may read times, hence only its hash is kept and it can be revoked.
create table calendar_feeds (
  id uuid primary key,
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  site_id uuid not null,
  token_sha256 bytea not null unique check (length(token_sha256) = 32),
  created_by uuid not null,
  created_at timestamptz not null default now(),
  revoked_at timestamptz,
  unique (tenant_id, id),
  foreign key (tenant_id, site_id) references sites (tenant_id, id)
);
create index calendar_feeds_site on calendar_feeds (tenant_id, site_id);
select atlas_tenant_table('calendar_feeds');
