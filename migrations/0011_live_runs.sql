-- The few runs that have not ended, for the sweep that looks after those that nobody moves.
create index runs_live on runs (id) where ended_at is null;
