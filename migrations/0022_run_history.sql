-- The newest runs that ended well, from which the time of the next ones is foretold.
create index host_runs_history on host_runs (tenant_id, id desc) where state = 'committed';
