import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '../../server/src/platform/ids.ts';
import { createTestDatabase, type TestDatabase } from '../harness/database.ts';

let database: TestDatabase;
let owner: pg.Client;
let app: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase();
  owner = new pg.Client({ connectionString: database.superuserUrl });
  app = new pg.Client({ connectionString: database.appUrl });
  await Promise.all([owner.connect(), app.connect()]);
});

afterAll(async () => {
  await Promise.all([owner.end(), app.end()]);
  await database.drop();
});

async function names(query: string): Promise<string[]> {
  const { rows } = await owner.query<{ name: string }>(query);
  return rows.map((row) => row.name);
}

const tablesOfTenants = `
  select c.oid, c.oid::regclass::text as name, case when c.relname = 'tenants' then 'id' else 'tenant_id' end as scope
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'public' and c.relkind in ('r', 'p') and (c.relname = 'tenants' or exists (
    select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped))`;

describe('every table of tenants', () => {
  it('is among those that we think of', async () => {
    const tables = await names(tablesOfTenants);
    expect(tables).toEqual(
      expect.arrayContaining(['tenants', 'sites', 'memberships', 'events', 'audit_entries', 'hosts', 'runs']),
    );
  });

  it('has row security that binds its owner too', async () => {
    expect(
      await names(`select t.name from (${tablesOfTenants}) t join pg_class c using (oid)
        where not (c.relrowsecurity and c.relforcerowsecurity)`),
    ).toEqual([]);
  });

  it('has a restrictive and a permissive policy for requests, each on reading and on writing', async () => {
    expect(
      await names(`select t.name from (${tablesOfTenants}) t where (
        select count(distinct p.polpermissive) from pg_policy p
        where p.polrelid = t.oid and p.polcmd = '*' and 'atlas_app'::regrole::oid = any(p.polroles)
          and pg_get_expr(p.polqual, p.polrelid) = format('(%I = atlas_current_tenant())', t.scope)
          and pg_get_expr(p.polwithcheck, p.polrelid) = format('(%I = atlas_current_tenant())', t.scope)) < 2`),
    ).toEqual([]);
  });

  it('has an index that begins with the tenant', async () => {
    expect(
      await names(`select t.name from (${tablesOfTenants}) t where not exists (
        select 1 from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = t.oid and a.attname = t.scope)`),
    ).toEqual([]);
  });

  it('shows no row, takes no row and changes no row without a tenant', async () => {
    await owner.query(`insert into tenants (id, name, slug) values ('${newId()}', 'A', 'a')`);
    for (const table of await names(tablesOfTenants)) {
      const { rows } = await app.query<{ count: string }>(`select count(*) from ${table}`);
      expect([table, rows[0]?.count]).toEqual([table, '0']);
    }
    for (const scope of ['', newId()]) {
      await app.query('begin');
      await app.query(`select set_config('atlas.tenant_id', $1, true)`, [scope]);
      expect((await app.query('select * from tenants')).rowCount).toBe(0);
      expect((await app.query(`update tenants set name = 'B'`)).rowCount).toBe(0);
      await app.query('rollback');
    }
  });

  it('refuses a row of another tenant to somebody who has a tenant', async () => {
    const [mine, other] = [newId(), newId()];
    for (const [index, id] of [mine, other].entries()) {
      await owner.query('insert into tenants (id, name, slug) values ($1, $2, $2)', [id, `row-${index}`]);
    }
    await app.query('begin');
    await app.query(`select set_config('atlas.tenant_id', $1, true)`, [mine]);
    await expect(
      app.query(`insert into sites (id, tenant_id, name, time_zone) values ($1, $2, 'x', 'UTC')`, [
        newId(),
        other,
      ]),
    ).rejects.toThrow(/row-level security/);
    await app.query('rollback');
  });
});

describe('the whole database', () => {
  it('gives every table row security, or grants nothing on it to the roles of the server', async () => {
    expect(
      await names(`select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'public' and c.relkind in ('r', 'p', 'm') and not c.relforcerowsecurity
          and (has_table_privilege('atlas_app', c.oid, 'select, insert, update, delete, truncate, references, trigger')
            or has_table_privilege('atlas_system', c.oid, 'select, insert, update, delete, truncate, references, trigger'))`),
    ).toEqual([]);
  });

  it('has no view that reads with the rights of its owner', async () => {
    expect(
      await names(`select c.oid::regclass::text as name from pg_class c
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'v'
          and not coalesce(c.reloptions && array['security_invoker=true', 'security_invoker=on', 'security_invoker=1'], false)`),
    ).toEqual([]);
  });

  it('lets the roles of the server own nothing, be nobody else and pass by no policy', async () => {
    expect(
      await names(`select rolname as name from pg_roles where rolname in ('atlas_app', 'atlas_system')
        and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)`),
    ).toEqual([]);
    expect(
      await names(
        `select c.relname as name from pg_class c where c.relowner in ('atlas_app'::regrole, 'atlas_system'::regrole)`,
      ),
    ).toEqual([]);
    expect(
      await names(`select roleid::regrole::text as name from pg_auth_members
        where member in ('atlas_app'::regrole, 'atlas_system'::regrole)`),
    ).toEqual([]);
  });

  it('has no function that runs with the rights of its owner', async () => {
    expect(
      await names(`select p.oid::regprocedure::text as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname = 'public' and p.prosecdef`),
    ).toEqual([]);
  });

  it('lets nobody change or remove what only grows', async () => {
    for (const table of ['audit_entries', 'events', 'release_signatures']) {
      for (const act of ['update', 'delete', 'truncate']) {
        const { rows } = await owner.query<{ may: boolean }>(
          `select has_table_privilege('atlas_app', $1, $2) as may`,
          [table, act],
        );
        expect([table, act, rows[0]?.may]).toEqual([table, act, false]);
      }
    }
  });

  it('has an index under every foreign key', async () => {
    expect(
      await names(`select format('%s: %s', f.conrelid::regclass, f.conname) as name from pg_constraint f
        where f.contype = 'f' and f.connamespace = 'public'::regnamespace and not exists (
          select 1 from pg_index i where i.indrelid = f.conrelid
            and (select array_agg(k order by k) from unnest(f.conkey) k)
              <@ (select array_agg(k) from unnest((i.indkey::int2[])[0:cardinality(f.conkey) - 1]) k))
          -- A leading tenant column with the rest behind it serves a key that ends in one identifier.
          and not exists (
            select 1 from pg_index i where i.indrelid = f.conrelid and f.conkey[cardinality(f.conkey)] = i.indkey[0])`),
    ).toEqual([]);
  });
});
