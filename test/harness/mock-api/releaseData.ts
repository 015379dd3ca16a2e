import { createHash } from 'node:crypto';
import type { Plan, PlanDetail, PlanHost, PlanPreview } from '#contract/plans.ts';
import type { ReleaseDetail, ReleaseSummary, TrustState } from '#contract/releases.ts';
import { digestWords } from '#contract/words.ts';
import { at, hosts, idOf, sha, tenantId, updatesOf } from './fleetData.ts';
import { policy } from './policyData.ts';

export const people = [
  {
    personId: idOf('person', 1),
    name: 'Camille Durand',
    email: 'camille.durand@simule.example',
    roles: ['tenant_admin', 'operator', 'approver'],
  },
  {
    personId: idOf('person', 2),
    name: 'Noé Lefèvre',
    email: 'noe.lefevre@simule.example',
    roles: ['approver'],
  },
  {
    personId: idOf('person', 3),
    name: 'Inès Benali',
    email: 'ines.benali@simule.example',
    roles: ['approver'],
  },
  {
    personId: idOf('person', 4),
    name: 'Jean-Baptiste de Saint-Exupéry-Villeneuve',
    email: null,
    roles: ['auditor'],
  },
] as const;

/** One of each reason, so that pictures show them all. */
function placementAt(index: number): NonNullable<PlanHost['placement']> {
  const host = hosts[1]?.hostname ?? '';
  if (index < 4) return { code: index === 1 ? 'canary_first' : 'first_free_place', values: {} };
  const later: NonNullable<PlanHost['placement']>[] = [
    { code: 'group_budget', values: { group: 'Imagerie', host, wave: 1, maxDown: 1 } },
    { code: 'after_host', values: { host, wave: 1, kind: 'service_after_provider' } },
    { code: 'wave_full', values: { wave: 1, hosts: 3 } },
  ];
  return later[index % later.length] ?? { code: 'atlas_last', values: {} };
}

function expectedAt(index: number): PlanHost['expectedSeconds'] {
  const steps = [
    { step: 'download' as const, low: 12, high: 40 },
    { step: 'install' as const, low: 60, high: 150 },
    { step: 'restart' as const, low: 20, high: 50 },
  ];
  if (index % 3 === 0) return { low: 95, high: 240, basis: 'host_history', runs: 6, steps };
  return index % 3 === 1
    ? { low: 110, high: 260, basis: 'class_history', runs: 14, steps }
    : { low: 14_460, high: 14_460, basis: 'allowances', runs: 0, steps: [] };
}

function planHost(index: number): PlanHost {
  const host = hosts[index];
  const updates = updatesOf(index).filter((update) => update.security);
  const included = updates.length > 0 && host?.guardTier !== 'none' && host?.agentState === 'connected';
  return {
    hostId: host?.id ?? '',
    hostname: host?.hostname ?? '',
    siteName: host?.siteName ?? '',
    agentId: idOf('agent', index),
    included,
    decision: included
      ? { code: 'included', values: {} }
      : host?.guardTier === 'none'
        ? { code: 'no_guard', values: { reason: 'la racine est sur ext4' } }
        : { code: 'nothing_pending', values: {} },
    wave: included ? (index < 4 ? 1 : 2) : null,
    order: included ? index : null,
    ...(included ? { placement: placementAt(index) } : {}),
    rollbackTier: included ? 1 : 0,
    packages: updates.map(({ name, arch, fromVersion, version, sha256 }) => ({
      name,
      arch,
      fromVersion,
      version,
      sha256: sha256 ?? '',
    })),
    updates,
    ...(index === 1
      ? {
          leftOut: [
            { name: 'libssl3', version: '3.0.17-1~deb12u3', code: 'quarantined' as const },
            {
              ...{ name: 'nginx', version: '1.22.1-9+deb12u3', code: 'exempted' as const },
              exception: { id: idOf('exception', 2), reason: 'Le progiciel casse', expiresAt: at(8640) },
            },
          ],
        }
      : {}),
    downloadBytes: updates.reduce((sum, update) => sum + update.downloadBytes, 0),
    restart: 'if_required',
    checks: policy.health.checks,
    expectedSeconds: included ? expectedAt(index) : null,
  };
}

export function preview(hostCount = 14): PlanPreview {
  const planned = Array.from({ length: hostCount }, (_, index) => planHost(index));
  const included = planned.filter((host) => host.included);
  const sum = (of: (host: PlanHost) => number): number =>
    included.reduce((total, host) => total + of(host), 0);
  const excluded = planned.length - included.length;
  return {
    policy,
    title: 'Correctifs de sécurité de novembre',
    notBefore: at(205),
    notAfter: at(445),
    timing: {
      window: {
        windowId: idOf('window', 99),
        name: 'Nuit du deuxième mardi',
        startsAt: at(205),
        endsAt: at(415),
        startsLocal: `${at(265).slice(0, 16)}+01:00`,
        endsLocal: `${at(475).slice(0, 16)}+01:00`,
        timeZone: 'Europe/Paris',
        startBy: at(355),
        changeBy: at(385),
      },
      expectedSeconds: { low: 2400, high: 5400, runs: 14, hostsOnLimits: 0 },
      fit: 'may_not_fit',
      limit: 'reboot_reserve',
      considered: [
        {
          windowId: idOf('window', 0),
          name: 'Site nord · week-end',
          startsAt: at(100),
          endsAt: at(190),
          startsLocal: `${at(160).slice(0, 16)}+01:00`,
          endsLocal: `${at(250).slice(0, 16)}+01:00`,
          code: 'frozen',
          freezes: ['Migration du cœur de réseau'],
        },
        {
          windowId: idOf('window', 99),
          name: 'Nuit du deuxième mardi',
          startsAt: at(205),
          endsAt: at(415),
          startsLocal: `${at(265).slice(0, 16)}+01:00`,
          endsLocal: `${at(475).slice(0, 16)}+01:00`,
          code: 'chosen',
          freezes: [],
        },
      ],
    },
    hosts: planned,
    refusals: [],
    counts: {
      hosts: planned.length,
      included: included.length,
      excluded,
      updates: sum((host) => host.updates.length),
      security: sum((host) => host.updates.length),
      downloadBytes: sum((host) => host.downloadBytes),
      waves: 2,
      withoutGuard: 0,
    },
    class: 'R2',
    signersNeeded: 2,
    signersAvailable: 2,
    warnings: [{ code: 'hosts_excluded', values: { count: excluded } }],
  };
}

function planAt(number: number, change: Partial<Plan>): Plan {
  return {
    id: idOf('plan', number),
    title: `Correctifs de sécurité de novembre, lot ${number}`,
    policyName: policy.name,
    sha256: sha(`plan ${number}`),
    state: 'released',
    notBefore: at(-1440 * (44 - number)),
    notAfter: at(-1440 * (44 - number) + 240),
    createdBy: idOf('person', 4),
    createdByName: people[3].name,
    createdAt: at(-1500 * (44 - number)),
    counts: preview().counts,
    releaseId: idOf('release', number),
    runId: idOf('run', number),
    ...change,
  };
}
export const plans: readonly Plan[] = [
  planAt(45, { state: 'planned', releaseId: null, runId: null, notBefore: at(205), notAfter: at(445) }),
  planAt(44, { state: 'release_drafted', runId: null, notBefore: at(205), notAfter: at(445) }),
  planAt(42, {}),
  planAt(41, {}),
  planAt(38, { state: 'expired', releaseId: null, runId: null }),
];
export function planDetail(planId: string): PlanDetail | null {
  const plan = plans.find((entry) => entry.id === planId);
  return plan === undefined ? null : { plan, preview: preview(), endedExceptions: [] };
}

const hash = (...parts: Uint8Array[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();
function rootOf(leaves: readonly Buffer[]): Buffer {
  let level = leaves.map((leaf) => hash(Buffer.of(0), leaf));
  while (level.length > 1) {
    level = level.flatMap((left, index) => {
      if (index % 2 === 1) return [];
      const right = level[index + 1];
      return [right === undefined ? left : hash(Buffer.of(1), left, right)];
    });
  }
  return level[0] ?? hash();
}

function targetsOf(releaseId: string): Buffer[] {
  return preview()
    .hosts.filter((host) => host.included)
    .map((host) => {
      const packages = { packages: host.packages };
      const orders = [
        { step: 'preflight', verb: 'host.preflight', args: { minFreeBytes: 2_147_483_648 } },
        {
          step: 'guard',
          verb: 'guard.create',
          args: { tier: 'btrfs', minFreeBytes: 2_147_483_648, confirmWithinS: 1800, silentS: 120 },
        },
        { step: 'download', verb: 'updates.download', args: packages },
        { step: 'install', verb: 'updates.install', args: packages },
        { step: 'restart', verb: 'host.restart', args: { onlyIfRequired: true } },
        { step: 'verify', verb: 'health.verify', args: { checks: host.checks, withinS: 60 } },
        { step: 'commit', verb: 'guard.commit', args: { keepHours: 48 } },
        { step: 'rollback', verb: 'guard.rollback', args: { checks: host.checks, withinS: 60 } },
      ];
      const { hostname, wave } = host;
      return Buffer.from(
        JSON.stringify({
          v: 1,
          release: releaseId,
          host: host.hostId,
          hostname,
          agent: host.agentId,
          wave,
          orders,
        }),
      );
    });
}

const signature = {
  personId: idOf('person', 2),
  personName: 'Noé Lefèvre',
  at: at(-14),
  custody: 'hardware' as const,
};
function releaseAt(number: number, change: Partial<ReleaseSummary>): ReleaseSummary {
  return {
    id: idOf('release', number),
    planId: idOf('plan', number),
    planTitle: `Correctifs de sécurité de novembre, lot ${number}`,
    runId: idOf('run', number),
    state: 'approved',
    class: 'R2',
    reason: 'Avis CERT-FR du 18 novembre sur OpenSSL : à corriger avant la fin de semaine.',
    requesterId: people[3].personId,
    requesterName: people[3].name,
    hosts: 11,
    notBefore: at(205),
    notAfter: at(445),
    createdAt: at(-40),
    signatures: [
      signature,
      { ...signature, personId: idOf('person', 3), personName: 'Inès Benali', custody: 'platform' },
    ],
    signaturesNeeded: 2,
    mySignature: 'closed',
    ...change,
  };
}
export const releases: readonly ReleaseSummary[] = [
  releaseAt(44, { state: 'awaiting_signatures', signatures: [signature], mySignature: 'possible' }),
  releaseAt(46, {
    state: 'awaiting_signatures',
    signatures: [],
    mySignature: 'possible',
    planTitle: 'Lot altéré en transit',
  }),
  releaseAt(42, {}),
  releaseAt(40, { state: 'refused', signatures: [signature] }),
];

export function releaseDetail(releaseId: string): ReleaseDetail | null {
  const release = releases.find((entry) => entry.id === releaseId);
  if (release === undefined) return null;
  const targets = targetsOf(releaseId);
  const payload = Buffer.from(
    JSON.stringify({
      v: 1,
      id: releaseId,
      tenant: tenantId,
      policyEpoch: 3,
      class: 'R2',
      planId: release.planId,
      planSha256: sha(release.planId),
      runId: release.runId,
      targetsRoot: rootOf(targets).toString('hex'),
      targetsCount: targets.length,
      notBefore: release.notBefore,
      notAfter: release.notAfter,
      requester: release.requesterId,
      reason: release.reason,
      ticket: 'CHG-2026-1142',
      logOrigin: 'atlas.simule.example/log/nord',
    }),
  );
  // One of them was tampered with on its way: the signing page must stop there.
  if (release.planTitle === 'Lot altéré en transit') targets.pop();
  return {
    release,
    payloadType: 'application/vnd.atlas.command+json; v=1',
    payload: payload.toString('base64url'),
    payloadSha256: hash(payload).toString('hex'),
    targets: targets.map((target) => target.toString('base64url')),
    myKeyIds: [Buffer.from('key of the mock').toString('base64url')],
    rpId: 'localhost',
    refusal:
      release.state === 'refused'
        ? {
            personName: 'Inès Benali',
            at: at(-2000),
            reason: 'Fenêtre trop proche de la bascule de messagerie.',
          }
        : null,
  };
}

const keyAt = (person: (typeof people)[number]) => ({
  keyId: Buffer.from(`key ${person.name}`).toString('base64url'),
  personId: person.personId,
  personName: person.name,
  kind: 'webauthn' as const,
  publicKey: Buffer.from('public').toString('base64url'),
  classes: ['R1' as const, 'R2' as const],
  custody: 'hardware' as const,
  addedAt: at(-30_000),
});
export const trust: TrustState = {
  epoch: 3,
  document: {
    v: 1,
    tenant: tenantId,
    epoch: 3,
    issuedAt: at(-12_000),
    rootKeys: ['a', 'b', 'c', 'd', 'e'].map((keyId) => ({ keyId, publicKey: 'cHVibGlj' })),
    rootThreshold: 3,
    approvers: [keyAt(people[1]), keyAt(people[2])],
    thresholds: { R1: 1, R2: 2, R3: 2 },
    verbCatalogueSha256: sha('catalogue'),
    origins: ['https://atlas.simule.example'],
    rpIds: ['atlas.simule.example'],
    caps: { targetsPerRelease: 500, restartsPer24h: 3 },
    auditLog: { origin: 'atlas.simule.example/log/nord', publicKey: 'cHVibGlj' },
    lockFreshnessS: 300,
  },
  documentSha256: sha('document'),
  words: digestWords(sha('document')),
  keys: [
    { key: keyAt(people[1]), state: 'active', sinceEpoch: 2 },
    { key: keyAt(people[2]), state: 'active', sinceEpoch: 3 },
    { key: keyAt(people[0]), state: 'pending', sinceEpoch: null },
  ],
  agentsCurrent: 229,
  agentsTotal: 238,
};
