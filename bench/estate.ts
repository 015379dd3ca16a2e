import pg from 'pg';
import { bootstrapMember } from '../server/src/features/access/access.bootstrap.ts';
import { bootstrapTenant } from '../server/src/features/tenants/tenants.bootstrap.ts';
import type { Platform } from '../server/src/main.platform.ts';
import { inventory, update } from '../test/harness/release-desk.ts';

/** One client of the installation, and the person who looks after it. */
export interface EstateTenant {
  readonly tenantId: string;
  readonly username: string;
}

interface EstateSize {
  readonly tenants: number;
  readonly hostsEach: number;
  /** Commands of the past, over all tenants. */
  readonly commands: number;
}

const eventsEach = 5_000;

/** Tenants with a site and an administrator each, as the product makes them. */
async function createTenants(platform: Platform, count: number): Promise<EstateTenant[]> {
  const made: EstateTenant[] = [];
  for (let index = 0; index < count; index += 1) {
    const slug = `client-${index}`;
    const { tenantId } = await bootstrapTenant(
      { ...platform, siteCreated: () => Promise.resolve() },
      { name: slug, slug, site: { name: 'Siège', timeZone: 'Europe/Paris' } },
    );
    await bootstrapMember(platform, tenantId, {
      account: { subject: slug, username: slug, name: slug, email: null },
      locale: 'fr',
      roles: ['tenant_admin', 'operator'],
    });
    made.push({ tenantId, username: slug });
  }
  return made;
}

/** An inventory with twenty updates that wait, as a host that was left alone for a month has them. */
function typicalInventory(): string {
  const updates = Array.from({ length: 20 }, (_, index) => update(`package-${index}`));
  return JSON.stringify(inventory('host.example.org', { updates }));
}

/** Hosts, their facts and their agents, all connected: the rows that an enrolment and an inventory leave. */
async function fillHosts(client: pg.Client, hostsEach: number): Promise<void> {
  await client.query(
    `insert into hosts (id, tenant_id, site_id, hostname, machine_id, tags, health_checks)
     select uuidv7(), s.tenant_id, s.id, 'srv-' || n || '.example.org', encode(sha256((s.id::text || n)::bytea), 'hex'),
       array['rack-' || n % 20], '[]'
     from sites s cross join generate_series(1, $1) as n`,
    [hostsEach],
  );
  await client.query(
    `insert into host_facts (tenant_id, host_id, inventory, collected_at, os_name, guard_tier, restart_required,
       pending_updates, pending_security, failed_units)
     select tenant_id, id, $1::jsonb, now(), 'Debian GNU/Linux 12', 'btrfs', false, 20, 20, 0 from hosts`,
    [typicalInventory()],
  );
  await client.query(
    `insert into agents (id, tenant_id, host_id, result_public_key, version, connected_at, last_seen_at)
     select uuidv7(), tenant_id, id, sha256(id::text::bytea), '1.0.0', now(), now() + interval '1 day' from hosts`,
  );
  await client.query(
    `insert into agent_certificates (sha256, tenant_id, agent_id, generation, serial, not_after)
     select sha256(id::text::bytea), tenant_id, id, 1, encode(substring(sha256(id::text::bytea) for 16), 'hex'),
       now() + interval '90 days' from agents`,
  );
}

/**
 * What years leave: commands, entries of the log and events. The entries are copies that prove nothing and have no place in any
 * tree; tables and indexes are as large as if they did.
 */
async function fillPast(client: pg.Client, commands: number): Promise<void> {
  await client.query(
    `insert into commands (id, tenant_id, agent_id, host_id, verb, created_at, expires_at, entry_id)
     select uuidv7(), a.tenant_id, a.id, a.host_id, 'inventory.scan', now() - n * interval '1 hour',
       now() - n * interval '1 hour', uuidv7()
     from generate_series(1, (select ceil($1::numeric / count(*))::int from agents)) as n cross join agents a`,
    [commands],
  );
  await client.query(
    `insert into audit_entries (tenant_id, entry_id, leaf, at, action, actor_kind, subject_type, subject_id, outcome)
     select a.tenant_id, uuidv7(), first.leaf, now(), 'commands.submitted', 'system', 'agent', a.id, 'ok'
     from (select distinct on (tenant_id) tenant_id, leaf from audit_entries order by tenant_id, entry_id) as first
     join agents a on a.tenant_id = first.tenant_id cross join generate_series(1, 5)`,
  );
  await client.query(
    `insert into events (tenant_id, seq, type, subject_id, data, at)
     select h.tenant_id, h.last_seq + n, 'host.changed', null, '{}', now()
     from event_heads h cross join generate_series(1, ${eventsEach}) as n`,
  );
  await client.query(`update event_heads set last_seq = last_seq + ${eventsEach}`);
}

/**
 * Fills an empty database with an estate of that size. `superuserUrl` writes past row-level security and foreign keys, as a
 * restore does; nothing of the product runs meanwhile.
 */
export async function fillEstate(
  platform: Platform,
  superuserUrl: string,
  size: EstateSize,
): Promise<EstateTenant[]> {
  const tenants = await createTenants(platform, size.tenants);
  const client = new pg.Client({ connectionString: superuserUrl });
  await client.connect();
  try {
    await client.query('set session_replication_role = replica');
    await client.query(
      'insert into event_heads (tenant_id, last_seq) select id, 0 from tenants on conflict do nothing',
    );
    await fillHosts(client, size.hostsEach);
    await fillPast(client, size.commands);
    await client.query('vacuum analyze');
  } finally {
    await client.end();
  }
  return tenants;
}

/** Tables of more than so many rows are never to be read from one end to the other for somebody who waits. */
const largeRows = 10_000;

/** How often each large table has been read whole so far. */
export async function readScans(client: pg.Client): Promise<Map<string, number>> {
  const { rows } = await client.query<{ table: string; scans: string }>(
    `select relname as table, seq_scan as scans from pg_stat_user_tables s
     where (select reltuples from pg_class c where c.oid = s.relid) > ${largeRows}`,
  );
  return new Map(rows.map(({ table, scans }) => [table, Number(scans)]));
}
