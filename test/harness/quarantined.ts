import { newId } from '../../server/src/platform/ids.ts';
import type { ReleaseDesk } from './release-desk.ts';

/** Puts an update into quarantine as two hosts that failed leave it. Returns the quarantine's id. */
export async function quarantined(desk: ReleaseDesk, name: string, version: string): Promise<string> {
  const id = newId();
  const rule = { hosts: 2, percent: 20 };
  const evidence = { tries: 2, failedTries: 2, failedHosts: 2, rule, failures: [] };
  await desk.query(
    'insert into update_quarantines (id, tenant_id, name, update_version, evidence) values ($1, $2, $3, $4, $5)',
    [id, desk.tenantId, name, version, JSON.stringify(evidence)],
  );
  return id;
}
