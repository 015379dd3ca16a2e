-- A person looked at a host that had not ended well and said that it is up: it no longer uses its groups' budgets.
alter table host_runs add column accepted_at timestamptz;
