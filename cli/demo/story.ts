import path from 'node:path';
import type { HostRunSummary } from '#contract/runs.ts';
import { buildAgentDeb } from '../../agent/packaging/build-deb.ts';
import type { LabHost } from '../../lab/host.ts';
import type { StackStatus } from '../../stack/daemonState.ts';
import { installMissing } from '../../stack/distribution.ts';
import { listSuitePrerequisites } from '../../stack/prerequisites.ts';
import type { CliContext } from '../context.ts';
import type { DemoStory } from '../commands/up.ts';
import { accountPlans, accountsFile, keepAccounts, totpKey } from './accounts.ts';
import { openDemoTenant } from './firstRun.ts';
import type { DemoTenant } from './firstRun.ts';
import { until } from './demo-client.ts';
import { createDemoLab, cutHost, demoHosts, enrolHosts, waitForInventories } from './fleet.ts';
import { ensurePolicy, makePlan, measuredRollbacks, rollbackSecondsMax, waitForReport } from './job.ts';
import { lineOfPhases, tellRun } from './run-story.ts';
import { keepPasskey, signRelease } from './trust.ts';

const runTimeoutMs = 40 * 60_000;
/** Longer than the agreed silence, two restarts and the checks on a slow machine; then the cable goes in again anyway. */
const revertPatienceMs = 5 * 60_000;
const isRoot = (): boolean => process.getuid?.() === 0;

/** Installs what the lab needs; without root it says that there will be no lab. */
async function prepare(context: CliContext): Promise<void> {
  if (!isRoot()) {
    context.say([
      'Sans droits root, pas de laboratoire : les services démarrent seuls (relancez avec sudo pour la démonstration).',
      'Without root there is no lab: the services start alone (run it with sudo for the demonstration).',
    ]);
    return;
  }
  const missing = listSuitePrerequisites('lab').filter((one) => !one.isPresent());
  await installMissing({ stateDir: context.directories.stateDir, missing, say: context.say });
}

async function run(context: CliContext, status: StackStatus): Promise<Record<string, unknown>> {
  const baseUrl = status.publicUrl;
  if (baseUrl === undefined) throw new Error('the services did not say their address');
  context.say('');
  context.say(['1. Les gens et la confiance', '1. People and trust']);
  const tenant = await openDemoTenant(context, baseUrl);
  if (!isRoot()) {
    sayAccounts(context, baseUrl);
    return {
      committed: 0,
      rolledBack: 0,
      rollbackSecondsMax: null,
      auditVerified: await verifyAudit(context, tenant),
    };
  }
  const hosts = await bringHosts(context, tenant);
  const facts = await doJob(context, { ...tenant, baseUrl }, hosts);
  sayAccounts(context, baseUrl);
  return facts;
}

/** Makes the machines, installs the agent on each the way a user does, and waits for their inventories. */
async function bringHosts(context: CliContext, tenant: DemoTenant): Promise<LabHost[]> {
  context.say(['2. Six vraies machines Debian', '2. Six real Debian machines']);
  const { stateDir, cacheDir } = context.directories;
  const [{ hosts }, debPath] = await Promise.all([
    createDemoLab(context),
    buildAgentDeb({ outDir: path.join(cacheDir, 'agent'), nodeBinary: process.execPath, version: '0.1.0' }),
  ]);
  for (const host of hosts) await host.healNetwork();
  const { api } = tenant.person('admin');
  const { tenantId, siteId } = tenant;
  const enrolled = await enrolHosts(hosts, debPath, async (host) => {
    const body = { siteId, note: host.name, expiresInMinutes: 30 };
    return (await api.call('createEnrolmentToken', { params: { tenantId }, body })).line;
  });
  context.say([
    `  ${enrolled.length} agent(s) installé(s) et inscrit(s), clés RSA 4096 faites sur les machines`,
    `  ${enrolled.length} agent(s) installed and enrolled, RSA-4096 keys made on the hosts`,
  ]);
  const ready = await waitForInventories(api, tenantId, demoHosts);
  for (const host of ready) {
    const counts = [host.pendingUpdates ?? 0, host.pendingSecurity ?? 0] as const;
    context.say([
      `  ${host.hostname.padEnd(10)} ${counts[0]} mises à jour en attente, dont ${counts[1]} de sécurité`,
      `  ${host.hostname.padEnd(10)} ${counts[0]} updates pending, ${counts[1]} of them for security`,
    ]);
  }
  context.say([`  état : ${stateDir}`, `  state: ${stateDir}`]);
  return hosts;
}

type OpenTenant = DemoTenant & { readonly baseUrl: string };

/** Plans, has two people sign, runs, and lets one host lose its network on the way. */
async function doJob(context: CliContext, tenant: OpenTenant, hosts: readonly LabHost[]) {
  const { tenantId } = tenant;
  const params = { tenantId };
  const { api } = tenant.person('operateur');
  context.say(['3. Plan et validation à deux', '3. Plan, and release by two people']);
  const policyId = await ensurePolicy(api, tenantId);
  const listed = await api.call('listHosts', { params, query: { limit: 200 } });
  const hostIds = listed.items
    .filter(({ hostname }) => demoHosts.some((name) => name === hostname))
    .map(({ id }) => id);
  const title = context.text(['Mise à jour du laboratoire', 'Update of the lab']);
  const { plan } = await makePlan(api, tenantId, { title, policyId, hostIds });
  const { included, updates, security, waves } = plan.counts;
  context.say([
    `  ${included} machines, ${updates} mises à jour (${security} de sécurité), ${waves} vagues`,
    `  ${included} hosts, ${updates} updates (${security} for security), ${waves} waves`,
  ]);
  const reason = context.text(['Mises à jour de sécurité du mois', 'Security updates of the month']);
  const { release } = await api.call('createRelease', {
    params: { tenantId, planId: plan.id },
    body: { reason },
  });
  await signTwice(context, tenant, release.id);
  context.say(['4. Exécution', '4. Run']);
  const lonely = hosts.find(({ name }) => name === cutHost);
  const detail = await tellRun(
    api,
    { tenantId, runId: release.runId, timeoutMs: runTimeoutMs },
    { say: context.say, onState: (host) => disturb(context, lonely, host) },
  );
  const { report } = await waitForReport(api, tenantId, detail.run.id);
  const max = rollbackSecondsMax(detail);
  const rollbacks = await measuredRollbacks(api, tenantId, detail);
  if (rollbacks.length > 0)
    context.say(['  Temps mesurés des retours arrière :', '  Measured times of the rollbacks:']);
  for (const rollback of rollbacks) context.say(lineOfPhases(rollback));
  const auditVerified = await verifyAudit(context, tenant);
  context.say([
    `Terminé : ${detail.run.committed} mises à jour confirmées, ${detail.run.rolledBack} retour(s) arrière, ${detail.run.failed} échec(s).`,
    `Done: ${detail.run.committed} committed, ${detail.run.rolledBack} rolled back, ${detail.run.failed} failed.`,
  ]);
  return {
    committed: detail.run.committed,
    rolledBack: detail.run.rolledBack,
    failed: detail.run.failed,
    rollbackSecondsMax: max,
    rollbacks,
    updatesInstalled: report?.updatesInstalled ?? null,
    runSeconds: report?.durationS ?? null,
    auditVerified,
    runUrl: `/runs/${detail.run.id}`,
  };
}

async function signTwice(context: CliContext, tenant: OpenTenant, releaseId: string): Promise<void> {
  const { tenantId } = tenant;
  for (const username of ['valideur-1', 'valideur-2']) {
    const person = tenant.person(username);
    const passkey = await keepPasskey(context.directories.stateDir, username, tenant.baseUrl);
    await signRelease(person, { tenantId, releaseId }, passkey);
    context.say([
      `  ${username} a signé (clé logicielle de démonstration)`,
      `  ${username} signed (software key of the demo)`,
    ]);
  }
}

/** Pulls the cable of one host right after its installation, and plugs it in again once it has gone back by itself. */
async function disturb(
  context: CliContext,
  lonely: LabHost | undefined,
  host: HostRunSummary,
): Promise<void> {
  if (lonely?.name !== host.hostname) return;
  if (host.state === 'awaiting_restart' || host.state === 'restarting') {
    const before = await lastRevert(lonely);
    await lonely.cutNetwork();
    context.say([
      `  ${host.hostname} perd son réseau (câble retiré par la démonstration)`,
      `  ${host.hostname} loses its network (the demo pulled the cable)`,
    ]);
    void plugInAfterReverting(context, lonely, before);
  }
}

/** The guardian's record of the last revert on the host: put aside when the host is back and its checks are green. */
async function lastRevert(host: LabHost): Promise<string> {
  const look = await host.exec(['cat', '/var/lib/atlas-agent/guardian/last']).catch(() => null);
  return look?.stdout ?? ''; // a machine that is restarting cannot be asked
}

async function plugInAfterReverting(context: CliContext, host: LabHost, before: string): Promise<void> {
  const hasReverted = async (): Promise<true | undefined> =>
    ['', before].includes(await lastRevert(host)) ? undefined : true;
  const reverted = await until(host.name, revertPatienceMs, hasReverted).catch(() => false);
  if (reverted) {
    context.say([
      `  ${host.name} est revenu seul en arrière, toujours sans réseau`,
      `  ${host.name} went back by itself, still without network`,
    ]);
  }
  await host.healNetwork();
  context.say([`  ${host.name} retrouve son réseau`, `  ${host.name} has its network again`]);
}

async function verifyAudit(context: CliContext, tenant: DemoTenant): Promise<boolean> {
  const { api } = tenant.person('auditeur');
  const verdict = await api.call('verifyAudit', { params: { tenantId: tenant.tenantId } });
  context.say([
    `5. Journal d’audit : ${verdict.size} entrées, ${verdict.ok ? 'vérifié' : 'NON VÉRIFIÉ'}`,
    `5. Audit log: ${verdict.size} entries, ${verdict.ok ? 'verified' : 'NOT VERIFIED'}`,
  ]);
  return verdict.ok;
}

function sayAccounts(context: CliContext, baseUrl: string): void {
  const { stateDir } = context.directories;
  const accounts = keepAccounts(stateDir);
  context.say('');
  context.say([`Ouvrez ${baseUrl} et connectez-vous :`, `Open ${baseUrl} and sign in:`]);
  for (const { username, duty } of accountPlans) {
    const account = accounts.get(username);
    if (account === undefined) continue;
    context.say(
      `  ${username.padEnd(11)} ${account.password}  TOTP ${totpKey(account)}  ${context.text(duty)}`,
    );
  }
  context.say([
    `  Code du moment : ./atlas code COMPTE    (comptes : ${accountsFile(stateDir)})`,
    `  Present code: ./atlas code ACCOUNT    (accounts: ${accountsFile(stateDir)})`,
  ]);
}

/** The story that `up --demo` tells: the whole job, once, on real machines. */
export const demoStory: DemoStory = { prepare, run };
