import { sql } from 'kysely';
import type { TenantTx } from '../../platform/db.ts';

/**
 * Names of people, keys and things by identifier, as they are called now.
 * Row-level security keeps the answer to this tenant; what is gone has no name.
 */
export async function namesOf(tx: TenantTx, ids: readonly string[]): Promise<Map<string, string>> {
  const wanted = [...new Set(ids)];
  if (wanted.length === 0) return new Map();
  const { rows } = await sql<{ id: string; name: string }>`
    with wanted as (select unnest(${wanted}::uuid[]) as id)
    select p.id, p.name from people p join wanted using (id)
    union all select k.id, k.name from api_keys k join wanted using (id)
    union all select h.id, h.hostname from hosts h join wanted using (id)
    union all select a.id, h.hostname from agents a join wanted using (id) join hosts h on h.id = a.host_id
    union all select s.id, s.name from sites s join wanted using (id)
    union all select t.id, t.name from tenants t join wanted using (id)
    union all select m.id, m.name from maintenance_policies m join wanted using (id)
    union all select p.id, p.title from plans p join wanted using (id)
    union all select r.id, p.title from releases r join wanted using (id) join plans p on p.id = r.plan_id
    union all select r.id, p.title from runs r join wanted using (id) join plans p on p.id = r.plan_id
    union all select h.id, h.hostname from host_runs h join wanted using (id)
  `.execute(tx);
  return new Map(rows.map(({ id, name }) => [id, name]));
}
