import type pg from 'pg';

/** Tables whose rows grow with the commands of the past; force is lifted for the owner while he copies. */
const tables = ['commands', 'result_frames', 'audit_entries', 'audit_leaves'] as const;

/** Runs as the owner of the tables, who is behind row-level security unless he opens it for himself. */
async function unfenced<T>(client: pg.Client, work: () => Promise<T>): Promise<T> {
  for (const table of tables) await client.query(`alter table ${table} no force row level security`);
  try {
    return await work();
  } finally {
    for (const table of tables) await client.query(`alter table ${table} force row level security`);
  }
}

/** Commands that the database holds. */
export function countHistory(client: pg.Client): Promise<number> {
  return unfenced(client, async () => {
    const { rows } = await client.query<{ count: string }>('select count(*) as count from commands');
    return Number(rows[0]?.count);
  });
}

/**
 * Makes the past `factor` times as long: copies of commands, signed frames, entries and places under other identifiers. The
 * copies prove nothing, so that no log is verified afterwards; tables and indexes are as large as if they did. Frames are given
 * to agents and places to tenants that do not exist, because numbers of real ones must go on without a gap.
 */
export function fillHistory(client: pg.Client, factor: number): Promise<void> {
  return unfenced(client, async () => {
    const copies = factor - 1;
    await client.query(
      `insert into commands (id, tenant_id, agent_id, host_id, verb, created_at, expires_at, entry_id)
       select gen_random_uuid(), tenant_id, agent_id, host_id, verb, created_at, created_at, gen_random_uuid()
       from commands cross join generate_series(1, $1)`,
      [copies],
    );
    await client.query(
      `insert into result_frames (tenant_id, agent_id, first_seq, last_seq, entry_id, signature, payload, received_at)
       select tenant_id, md5(agent_id::text || copy)::uuid, first_seq, last_seq, gen_random_uuid(), signature, payload, received_at
       from result_frames cross join generate_series(1, $1) as copy`,
      [copies],
    );
    await client.query(
      `insert into audit_entries (tenant_id, entry_id, leaf, at, action, actor_kind, actor_id, subject_type, subject_id, outcome)
       select tenant_id, gen_random_uuid(), leaf, at, action, actor_kind, actor_id, subject_type, subject_id, outcome
       from audit_entries cross join generate_series(1, $1)`,
      [copies],
    );
    await client.query(
      `insert into audit_leaves (tenant_id, leaf_index, entry_id, leaf_hash)
       select md5(tenant_id::text || copy)::uuid, leaf_index, gen_random_uuid(), leaf_hash
       from audit_leaves cross join generate_series(1, $1) as copy`,
      [copies],
    );
    await client.query('analyze');
  });
}
