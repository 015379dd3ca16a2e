-- A calendar address is a site's or a person's. A person's holds what concerns that person, and the times of sites of choice.
alter table calendar_feeds alter column site_id drop not null;
alter table calendar_feeds add column person_id uuid;
-- Who is no member any more has no address, also when that person comes back one day.
alter table calendar_feeds add constraint calendar_feeds_person_id_fkey
  foreign key (tenant_id, person_id) references memberships (tenant_id, person_id) on delete cascade;
alter table calendar_feeds add column site_ids uuid[] not null default '{}' check (cardinality(site_ids) <= 50);
-- When the secret was last replaced, and when a calendar program last read: both help to tell an address that strayed.
alter table calendar_feeds add column renewed_at timestamptz;
alter table calendar_feeds add column last_read_at timestamptz;
alter table calendar_feeds add constraint calendar_feeds_of check ((site_id is null) <> (person_id is null));
alter table calendar_feeds add constraint calendar_feeds_sites check (person_id is not null or cardinality(site_ids) = 0);
create index calendar_feeds_person on calendar_feeds (tenant_id, person_id) where person_id is not null;
