import path from 'node:path';
import type { Db } from '../../platform/db.ts';
import { isUuid } from '../../platform/ids.ts';
import type { AuditService } from './audit.service.ts';
import { exportLog } from './exportLog.ts';

interface CommandDeps {
  readonly db: Db;
  readonly service: AuditService;
  /** Takes one line of JSON a log. */
  readonly print: (line: string) => void;
}

/** Tenants that have a sealed log. */
async function listLogs(db: Db): Promise<string[]> {
  const rows = await db.inSystem('audit.listLogs', (tx) =>
    tx.selectFrom('audit_checkpoints').select('tenant_id').distinct().orderBy('tenant_id').execute(),
  );
  return rows.map((row) => row.tenant_id);
}

/**
 * `verify [tenantId]` and `export DIRECTORY [tenantId]`, for whoever runs the server's program on its machine.
 * Without a tenant, every log. Prints one line of JSON a log, which says whether it verifies; returns 2 on wrong usage, else 0.
 */
export async function runAuditCommand(deps: CommandDeps, args: readonly string[]): Promise<number> {
  const [verb, ...rest] = args;
  const directory = verb === 'export' ? rest.shift() : undefined;
  const [tenantId] = rest;
  const isUsable =
    (verb === 'verify' || (verb === 'export' && directory !== undefined)) &&
    rest.length <= 1 &&
    (tenantId === undefined || isUuid(tenantId));
  if (!isUsable) return 2;
  const tenantIds = tenantId === undefined ? await listLogs(deps.db) : [tenantId];
  for (const id of tenantIds) {
    const result =
      directory === undefined
        ? await deps.service.verify(id, { kind: 'system', id: null })
        : await exportOne(deps.service, id, path.join(directory, id));
    deps.print(JSON.stringify({ tenantId: id, ...result }));
  }
  return 0;
}

async function exportOne(service: AuditService, tenantId: string, directory: string) {
  const exported = await exportLog(service, tenantId, directory);
  await service.recordExport(tenantId, exported);
  return { directory, ...exported };
}
