-- The server's processes that are alive, and where agents reach each: every node writes its own row every few seconds.
create table nodes (
  id uuid primary key,
  agents_url text not null check (length(agents_url) between 1 and 300),
  connections integer not null check (connections >= 0),
  started_at timestamptz not null default now(),
  seen_at timestamptz not null default now()
);
select atlas_system_table('nodes');
