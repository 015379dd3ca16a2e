-- Events of each tenant in one gapless sequence: screens resume from the last number they have seen.

create table event_heads (
  tenant_id uuid primary key default atlas_current_tenant() references tenants (id),
  last_seq bigint not null
);
select atlas_tenant_table('event_heads');
revoke insert, update, delete on event_heads from atlas_app;

create table events (
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  seq bigint not null check (seq > 0),
  type text not null,
  subject_id uuid,
  data jsonb not null,
  at timestamptz not null,
  primary key (tenant_id, seq)
);
create index events_at on events (at);
select atlas_append_only_table('events');
-- Only the sequencer writes; old events are removed after their retention.
revoke insert on events from atlas_app;
grant delete on events to atlas_system;
