import { Type, type Static, type TSchema } from 'typebox';
import { Count, Line, OneOf, Sha256Hex, Strict } from '#contract/schema.ts';

/**
 * Class of a verb: who must have released it.
 * R0 reads, nobody; R1 reversible inside a window, one person; R2 changes a host, two people other than the requester;
 * R3 destroys or reduces recovery, two people, a nonce from the agent and a cool-off.
 */
export const verbClasses = ['R0', 'R1', 'R2', 'R3'] as const;
export type VerbClass = (typeof verbClasses)[number];

/**
 * How often the effect may happen when the outcome is unknown.
 * natural: repeating changes nothing; probe: the host can be asked whether it happened; once: never repeated, a person decides.
 */
export type Idempotency = 'natural' | 'probe' | 'once';

/** One update pinned by name, version and digest: what people approve is what the host installs. */
export const PinnedPackage = Strict({
  name: Type.String({ pattern: '^[a-z0-9][a-z0-9+.-]{0,127}$' }),
  arch: Type.String({ pattern: '^[a-z0-9-]{1,32}$' }),
  fromVersion: Type.Union([Type.String({ pattern: '^[A-Za-z0-9.+:~-]{1,128}$' }), Type.Null()]),
  version: Type.String({ pattern: '^[A-Za-z0-9.+:~-]{1,128}$' }),
  sha256: Sha256Hex,
});

const UnitName = Type.String({ pattern: '^[A-Za-z0-9@_.:-]{1,200}\\.(service|socket|target|timer|mount)$' });

/** A check that tells whether the host does its work. Commands come from a fixed catalogue on the host, never free text. */
export const HealthCheck = Type.Union([
  Strict({ kind: Type.Literal('systemd'), unit: UnitName }),
  Strict({ kind: Type.Literal('tcp'), port: Type.Integer({ minimum: 1, maximum: 65535 }) }),
  Strict({
    kind: Type.Literal('http'),
    url: Type.String({
      pattern: '^https?://(127\\.0\\.0\\.1|localhost|\\[::1\\])(:\\d{1,5})?(/[A-Za-z0-9._~/?=&%-]*)?$',
      maxLength: 300,
    }),
    status: Type.Integer({ minimum: 100, maximum: 599 }),
    contains: Type.Optional(Line(200)),
  }),
  Strict({
    kind: Type.Literal('command'),
    id: OneOf(['systemd_no_failed_units', 'dpkg_audit_clean', 'nginx_config_valid']),
  }),
  Strict({ kind: Type.Literal('approved_updates_installed') }),
]);

/** Units of ATLAS itself are never stopped: nobody would be left to start them again. */
const DrainedUnitName = Type.String({
  pattern: '^(?!atlas-)[A-Za-z0-9_][A-Za-z0-9@_.:-]{0,199}\\.(service|socket|target|timer)$',
});

/** Seconds that the site's own programs on the host may take, each. */
export const HookWithinS = Type.Integer({ minimum: 1, maximum: 300 });

/** Units to stop, in this order, each with the seconds that it may take; started again in the reverse order. */
export const DrainedUnits = Type.Array(
  Strict({ unit: DrainedUnitName, withinS: Type.Integer({ minimum: 1, maximum: 90 }) }),
  { maxItems: 16 },
);

/**
 * How the host's work is taken away before a change. First the site's own program at its fixed place on the host, then the
 * units. All limits together stay below the time limit of the verb.
 */
export const DrainArgs = Strict({
  /** Absent: the site has no programs for it. */
  hookWithinS: Type.Optional(HookWithinS),
  units: DrainedUnits,
  /** Seconds after which the host brings everything back by itself, whoever is silent. */
  returnWithinS: Type.Integer({ minimum: 60, maximum: 90_000 }),
});

/** Time a check may take to turn green, tried again every two seconds. */
export const HealthArgs = Strict({
  checks: Type.Array(HealthCheck, { minItems: 1, maxItems: 32 }),
  withinS: Type.Integer({ minimum: 1, maximum: 900 }),
});

export const PackagesArgs = Strict({ packages: Type.Array(PinnedPackage, { minItems: 1, maxItems: 2000 }) });

export const GuardCreateArgs = Strict({
  tier: OneOf(['btrfs', 'none']),
  minFreeBytes: Count,
  /** Seconds without a commit, from the start of the installation, after which the host reverts by itself. */
  confirmWithinS: Type.Integer({ minimum: 30, maximum: 86_400 }),
  /** Seconds without a word from the server, once the update is in and nothing is under way, after which the host reverts by itself. */
  silentS: Type.Integer({ minimum: 15, maximum: 86_400 }),
});

const Empty = Strict({});

interface VerbSpec {
  readonly class: VerbClass;
  readonly idempotency: Idempotency;
  readonly timeoutS: number;
  readonly args: TSchema;
}

/** Everything that an agent can be told. There is no verb that takes a command line. */
export const verbCatalogue = {
  'agent.noop': { class: 'R0', idempotency: 'natural', timeoutS: 10, args: Empty },
  'inventory.scan': { class: 'R0', idempotency: 'natural', timeoutS: 300, args: Empty },
  'host.preflight': {
    class: 'R2',
    idempotency: 'natural',
    timeoutS: 120,
    args: Strict({ minFreeBytes: Count }),
  },
  'guard.create': { class: 'R2', idempotency: 'probe', timeoutS: 900, args: GuardCreateArgs },
  'updates.download': { class: 'R2', idempotency: 'natural', timeoutS: 3600, args: PackagesArgs },
  'host.drain': { class: 'R2', idempotency: 'probe', timeoutS: 1800, args: DrainArgs },
  'updates.install': { class: 'R2', idempotency: 'probe', timeoutS: 7200, args: PackagesArgs },
  'host.restart': {
    class: 'R2',
    idempotency: 'probe',
    timeoutS: 1200,
    args: Strict({ onlyIfRequired: Type.Boolean() }),
  },
  'host.undrain': { class: 'R2', idempotency: 'probe', timeoutS: 1800, args: Empty },
  'health.verify': { class: 'R2', idempotency: 'natural', timeoutS: 960, args: HealthArgs },
  'guard.commit': {
    class: 'R2',
    idempotency: 'natural',
    timeoutS: 60,
    args: Strict({ keepHours: Type.Integer({ minimum: 0, maximum: 8760 }) }),
  },
  'guard.rollback': { class: 'R2', idempotency: 'probe', timeoutS: 600, args: HealthArgs },
} as const satisfies Record<string, VerbSpec>;

export type Verb = keyof typeof verbCatalogue;
export const verbs = Object.keys(verbCatalogue) as Verb[];
export const VerbName = OneOf(verbs);

/** The text whose SHA-256 (UTF-8) a policy document pins: what approvers' classes mean is part of what was signed. */
export const verbCatalogueText = JSON.stringify(verbCatalogue);

export type PinnedPackage = Static<typeof PinnedPackage>;
export type HealthCheck = Static<typeof HealthCheck>;
export type DrainArgs = Static<typeof DrainArgs>;
export type HealthArgs = Static<typeof HealthArgs>;
export type PackagesArgs = Static<typeof PackagesArgs>;
export type GuardCreateArgs = Static<typeof GuardCreateArgs>;
