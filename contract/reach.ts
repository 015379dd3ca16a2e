import { Type, type Static } from 'typebox';
import { defineRoute, NoContent, Page, pageQuery } from '#contract/route.ts';
import { Count, Instant, Line, OneOf, OrNull, Prose, Strict, Uuid } from '#contract/schema.ts';
import { tenantParams } from '#contract/tenants.ts';

/** How a host is reached: by an agent that holds a connection, or by SSH, which the server opens when there is something to do. */
export const reaches = ['agent', 'ssh'] as const;
export type Reach = (typeof reaches)[number];

/** Why a host could not be worked on over SSH. Texts for people come from the catalogues by code. */
export const sshFaults = [
  'runner_missing',
  'unreachable',
  'wrong_host_key',
  'credential_refused',
  'no_root',
  'no_python',
  'unsupported_host',
  'engine_failed',
  'wrong_identity',
  'identity_lost',
  'policy_missing',
  'timed_out',
] as const;
export type SshFault = (typeof sshFaults)[number];

/** Address that is dialled: a DNS name, an IPv4 or an IPv6 address. Nothing in it can be an option, a template or a shell word. */
const SshAddress = Type.String({
  pattern: '^(?=.{1,253}$)([a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:]*:[0-9a-f:.]+)$',
});
const SshUser = Type.String({ pattern: '^[a-z_][a-z0-9_-]{0,31}$' });
const Port = Type.Integer({ minimum: 1, maximum: 65_535 });
const hostKeyTypes = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'ssh-rsa',
] as const;
const KeyBytes = Type.String({ pattern: '^[A-Za-z0-9+/]{32,2000}={0,2}$' });
/** `SHA256:` and the digest of the key's bytes, as OpenSSH prints it. */
const Fingerprint = Type.String({ pattern: '^SHA256:[A-Za-z0-9+/]{43}$' });
/** A private key without a passphrase, in OpenSSH or PEM form. */
const PrivateKey = Type.String({
  minLength: 100,
  maxLength: 20_000,
  pattern: '^-----BEGIN [A-Z ]+-----\\r?\\n',
});

/** A key that a host shows. Compare its fingerprint with the host's console before you trust it. */
export const SshHostKey = Strict({ type: OneOf(hostKeyTypes), key: KeyBytes, fingerprint: Fingerprint });

/**
 * Where ATLAS stands with a host over SSH. `prepared`: the access is kept, SSH does not drive the host.
 * `starting`: the engine is being brought to the host. `active`: SSH drives the host.
 */
export const sshAccessStates = ['prepared', 'starting', 'active'] as const;

export const SshAccess = Strict({
  id: Uuid,
  /** Null until the first contact has told which machine it is. */
  hostId: OrNull(Uuid),
  siteId: Uuid,
  name: Line(253),
  address: SshAddress,
  port: Port,
  user: SshUser,
  hostKeyType: OneOf(hostKeyTypes),
  hostKeyFingerprint: Fingerprint,
  /** Of the key that ATLAS shows to the host. The private half is never given out. */
  publicKeyFingerprint: Fingerprint,
  state: OneOf(sshAccessStates),
  fault: OrNull(OneOf(sshFaults)),
  faultDetail: OrNull(Line(500)),
  lastContactAt: OrNull(Instant),
  createdAt: Instant,
});

export const SshAccessCreate = Strict({
  /** A host that ATLAS knows already; absent for a new one. */
  hostId: Type.Optional(Uuid),
  siteId: Uuid,
  name: Line(253),
  address: SshAddress,
  port: Type.Integer({ minimum: 1, maximum: 65_535, default: 22 }),
  user: SshUser,
  privateKey: PrivateKey,
  hostKey: Strict({ type: OneOf(hostKeyTypes), key: KeyBytes }),
});

/** What a test found, question by question; the first that is not ok ends it. */
export const SshTest = Strict({
  ok: Type.Boolean(),
  fault: OrNull(OneOf(sshFaults)),
  detail: Prose(1000),
  steps: Type.Array(Strict({ step: OneOf(['connect', 'root', 'python', 'survey']), ok: Type.Boolean() })),
  python: OrNull(Line(40)),
  arch: OrNull(Line(40)),
  freeBytes: OrNull(Count),
  /** How the job was kept apart on the server: another user without capabilities, name spaces only, or a process group. */
  sandbox: OneOf(['other_user', 'name_spaces', 'process_group', 'none']),
  tookMs: Count,
});

const accessParams = Strict({ tenantId: Uuid, sshAccessId: Uuid });
const Reason = Strict({ reason: Line(500) });
const base = '/api/v1/tenants/:tenantId/ssh-accesses';

export const reachRoutes = {
  listSshAccesses: defineRoute({
    method: 'GET',
    path: base,
    permission: 'agents.read',
    audit: null,
    summary: 'Hosts that can be reached over SSH',
    params: tenantParams,
    query: Strict({ ...pageQuery, hostId: Type.Optional(Uuid) }),
    response: Page(SshAccess),
  }),
  readSshHostKeys: defineRoute({
    method: 'POST',
    path: '/api/v1/tenants/:tenantId/ssh-host-keys',
    permission: 'ssh.manage',
    audit: 'ssh_access.host_keys_read',
    summary: 'Keys that an address shows, to be compared by a person',
    params: tenantParams,
    body: Strict({ address: SshAddress, port: Port }),
    response: Strict({
      keys: Type.Array(SshHostKey, { maxItems: 10 }),
      fault: OrNull(OneOf(sshFaults)),
      detail: Prose(1000),
    }),
  }),
  createSshAccess: defineRoute({
    method: 'POST',
    path: base,
    permission: 'ssh.manage',
    audit: 'ssh_access.created',
    summary: 'Keep an SSH access, its key encrypted; nothing is done on the host yet',
    params: tenantParams,
    body: SshAccessCreate,
    response: SshAccess,
    status: 201,
    acr: 3,
    errors: ['already_exists', 'policy_refused'],
  }),
  testSshAccess: defineRoute({
    method: 'POST',
    path: `${base}/:sshAccessId/test`,
    permission: 'ssh.manage',
    audit: 'ssh_access.tested',
    summary: 'Try the access: address, host key, credential, root, Python; changes nothing on the host',
    params: accessParams,
    response: SshTest,
  }),
  replaceSshKey: defineRoute({
    method: 'PUT',
    path: `${base}/:sshAccessId/key`,
    permission: 'ssh.manage',
    audit: 'ssh_access.key_replaced',
    summary: 'Use another private key from now on',
    params: accessParams,
    body: Strict({ privateKey: PrivateKey }),
    response: SshAccess,
    acr: 3,
    errors: ['policy_refused'],
  }),
  activateSshAccess: defineRoute({
    method: 'POST',
    path: `${base}/:sshAccessId/activate`,
    permission: 'ssh.manage',
    audit: 'ssh_access.activated',
    summary: 'Reach the host over SSH from now on; an agent on it is stopped',
    params: accessParams,
    body: Reason,
    response: SshAccess,
    status: 202,
    acr: 3,
    errors: ['transition_refused', 'policy_refused'],
  }),
  deactivateSshAccess: defineRoute({
    method: 'POST',
    path: `${base}/:sshAccessId/deactivate`,
    permission: 'ssh.manage',
    audit: 'ssh_access.deactivated',
    summary: 'Give the host back to its agent, if it has one',
    params: accessParams,
    body: Reason,
    response: SshAccess,
    errors: ['transition_refused'],
  }),
  removeSshAccess: defineRoute({
    method: 'DELETE',
    path: `${base}/:sshAccessId`,
    permission: 'ssh.manage',
    audit: 'ssh_access.removed',
    summary: 'Forget an access and its key',
    params: accessParams,
    response: NoContent,
    status: 204,
    errors: ['transition_refused'],
  }),
};

export type SshAccess = Static<typeof SshAccess>;
export type SshAccessCreate = Static<typeof SshAccessCreate>;
export type SshHostKey = Static<typeof SshHostKey>;
export type SshTest = Static<typeof SshTest>;
