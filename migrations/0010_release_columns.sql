-- What was asked for never changes once people may sign it: of a release, only its state and how it ended are written.
revoke update on releases from atlas_app, atlas_system;
grant update (state, approved_entry_id, approved_at, refused_by, refused_at, refusal_reason, updated_at, version)
  on releases to atlas_app, atlas_system;
