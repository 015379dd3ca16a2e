-- Who may release what: the customer's policy documents, the approvers' keys, the emergency stop.

-- Signed by the customer's root keys; each epoch follows the one before, none is ever changed.
create table policy_documents (
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  epoch integer not null check (epoch >= 1),
  payload bytea not null,
  payload_sha256 text not null check (payload_sha256 ~ '^[0-9a-f]{64}$'),
  envelope jsonb not null,
  published_by uuid not null,
  published_at timestamptz not null default now(),
  primary key (tenant_id, epoch)
);
select atlas_append_only_table('policy_documents');

-- Keys that people have enrolled. One counts only while the current policy document names it.
create table approver_keys (
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  -- WebAuthn credential id, or SHA-256 of the public key for a bare key; base64url.
  key_id text not null check (length(key_id) between 1 and 1400),
  person_id uuid not null references people (id),
  kind text not null check (kind in ('webauthn', 'ed25519')),
  public_key bytea not null,
  custody text not null check (custody in ('hardware', 'platform', 'software')),
  -- What the authenticator said about itself when the key was made; shown, never decisive.
  attestation jsonb not null,
  created_at timestamptz not null default now(),
  removed_at timestamptz,
  primary key (tenant_id, key_id)
);
create index approver_keys_person on approver_keys (person_id);
select atlas_tenant_table('approver_keys');

-- The one open challenge of each person who is about to make a key.
create table approver_key_challenges (
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  person_id uuid not null references people (id),
  challenge text not null,
  expires_at timestamptz not null,
  primary key (tenant_id, person_id)
);
create index approver_key_challenges_person on approver_key_challenges (person_id);
select atlas_tenant_table('approver_key_challenges');

-- Every stop and every end of a stop, in the order of a serial that only grows. The highest one is in force.
create table lock_documents (
  tenant_id uuid not null default atlas_current_tenant() references tenants (id),
  serial integer not null check (serial >= 1),
  state text not null check (state in ('locked', 'open')),
  payload bytea not null,
  payload_sha256 text not null check (payload_sha256 ~ '^[0-9a-f]{64}$'),
  envelope jsonb not null,
  published_at timestamptz not null default now(),
  primary key (tenant_id, serial)
);
select atlas_append_only_table('lock_documents');

-- The end of a stop that waits for its second signature.
create table lock_openings (
  tenant_id uuid primary key default atlas_current_tenant() references tenants (id),
  serial integer not null check (serial >= 1),
  payload bytea not null,
  signatures jsonb not null,
  signed_by uuid[] not null,
  created_at timestamptz not null default now()
);
select atlas_tenant_table('lock_openings');
