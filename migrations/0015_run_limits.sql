-- What a window says about its end, fixed when the run is made: no host starts after `start_by`, no change or restart after `change_by`.
alter table runs add column start_by timestamptz, add column change_by timestamptz;
-- The owner sees rows only without the fence. Runs made before have the limit that was computed until now.
alter table runs no force row level security;
update runs set
  start_by = not_after - least(interval '10 minutes', (not_after - not_before) / 10),
  change_by = not_after - least(interval '10 minutes', (not_after - not_before) / 10);
alter table runs force row level security;
alter table runs
  alter column start_by set not null,
  alter column change_by set not null,
  add check (start_by <= change_by and change_by <= not_after);
