import { createPublicKey } from 'node:crypto';
import { Value } from 'typebox/value';
import type { EnrolRequest, EnrolResponse } from '#contract/agent-link.ts';
import type { Envelope } from '#contract/dsse.ts';
import type { EnrolmentToken } from '#contract/fleet.ts';
import { HostName } from '#contract/schema.ts';
import { toInstant } from '../../platform/clock.ts';
import type { TenantTx } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import { actorOf, type Actor } from '../../platform/http/caller.ts';
import type { AgentsDeps, LinkControl } from './agents.deps.ts';
import { enrolLine, newEnrolSecret, readEnrolSecret, sameHash, tokenFault } from './agents.policy.ts';
import * as agents from './agents.repository.ts';
import { issueAgentCertificate, readSigningRequest, type AgentCertificate } from './authorities.ts';
import type { AuthorityService } from './authority.service.ts';
import * as repository from './enrolment.repository.ts';
import { sha256Of } from './x509.ts';

interface Newcomer {
  readonly tenantId: string;
  readonly siteId: string;
  readonly tokenId: string;
  readonly agentId: string;
  readonly hostname: string;
  readonly resultPublicKey: Buffer;
  readonly certificate: AgentCertificate;
}

function noPolicy(): AppError {
  return new AppError('policy_refused', {
    detail:
      'No policy document is published. Make the root keys with `./atlas policy init-root`, then draft, sign and publish the first document.',
  });
}

function readResultKey(text: string): Buffer {
  const der = Buffer.from(text, 'base64url');
  try {
    if (createPublicKey({ key: der, format: 'der', type: 'spki' }).asymmetricKeyType === 'ed25519')
      return der;
  } catch (error) {
    throw new AppError('invalid_request', { detail: 'resultPublicKey is not a public key', cause: error });
  }
  throw new AppError('invalid_request', { detail: 'resultPublicKey is not an Ed25519 key' });
}

/** Lets hosts in: one-time tokens, and what happens when a host shows one. */
export class EnrolmentService {
  readonly #deps: AgentsDeps;
  readonly #authorities: AuthorityService;
  readonly #control: () => LinkControl;

  constructor(deps: AgentsDeps, authorities: AuthorityService, control: () => LinkControl) {
    this.#deps = deps;
    this.#authorities = authorities;
    this.#control = control;
  }

  /** Issues a token. Errors: not_found (site), policy_refused while no policy document is published. */
  async createToken(
    tenantId: string,
    actor: Actor,
    body: { readonly siteId: string; readonly note?: string; readonly expiresInMinutes: number },
  ): Promise<{ enrolmentToken: EnrolmentToken; token: string; line: string }> {
    const { db, clock, newId, audit, enrolUrl } = this.#deps;
    const first = await db.inTenant(tenantId, async (tx) => (await this.#deps.trust.chain(tx))[0]);
    if (first === undefined) throw noPolicy();
    // Made now, so that no host waits for it; outside of any transaction, because it takes seconds the first time.
    await this.#authorities.issuing(tenantId);
    const { sha256: caSha256 } = await this.#authorities.serverAuthority();
    const id = newId();
    const { secret, sha256 } = newEnrolSecret(id);
    const nowMs = clock.now();
    const expiresAtMs = nowMs + body.expiresInMinutes * 60_000;
    const enrolmentToken = await db.inTenant(tenantId, async (tx) => {
      const { siteId } = body;
      const note = body.note ?? null;
      const { id: createdBy, kind } = actor;
      await repository.insertToken(tx, {
        ...{ id, siteId, note, secretSha256: sha256, createdBy },
        ...{ createdAtMs: nowMs, expiresAtMs },
      });
      await audit.record(tx, {
        action: 'enrolment_token.created',
        actorKind: kind,
        actorId: createdBy,
        subjectType: 'enrolment_token',
        subjectId: id,
        outcome: 'ok',
        digest: null,
        details: { siteId, expiresAt: toInstant(expiresAtMs) },
      });
      return repository.getToken(tx, id);
    });
    const policySha256 = sha256Of(Buffer.from(first.payload, 'base64url')).toString('hex');
    return { enrolmentToken, ...enrolLine({ url: enrolUrl(), secret, caSha256, policySha256 }) };
  }

  /** Makes a token unusable. Errors: not_found; enrolment_token_unusable when a host has used it. */
  async revokeToken(tenantId: string, actor: Actor, tokenId: string): Promise<void> {
    await this.#deps.db.inTenant(tenantId, async (tx) => {
      if (!(await repository.revokeToken(tx, tokenId))) throw new AppError('enrolment_token_unusable');
      await this.#deps.audit.record(tx, {
        action: 'enrolment_token.revoked',
        ...actorOf(actor),
        subjectType: 'enrolment_token',
        subjectId: tokenId,
        outcome: 'ok',
        digest: null,
        details: {},
      });
    });
  }

  /** Enrols a host. Every fault of the token is the same error, so that nobody learns which tokens exist. */
  async enrol(request: EnrolRequest): Promise<EnrolResponse> {
    const { tokenId, tenantId, siteId } = await this.#openToken(request.secret);
    const hostname = request.hostname.toLowerCase();
    if (!Value.Check(HostName, hostname)) {
      throw new AppError('invalid_request', { detail: 'the host’s name is no DNS name (RFC 1123)' });
    }
    const resultPublicKey = readResultKey(request.resultPublicKey);
    const publicKey = await readSigningRequest(request.csrPem);
    const agentId = this.#deps.newId();
    const certificate = await issueAgentCertificate(
      await this.#authorities.issuing(tenantId),
      { tenantId, agentId, generation: 1, publicKey },
      this.#deps.clock.now(),
    );
    const newcomer = { tenantId, siteId, tokenId, agentId, hostname, resultPublicKey, certificate };
    const { hostId, policies, replaced } = await this.#deps.db.inTenant(tenantId, (tx) =>
      this.#admit(tx, newcomer, request),
    );
    for (const former of replaced) this.#control().disconnect(former, 'replaced');
    const { pem } = await this.#authorities.serverAuthority();
    const { chainPem } = certificate;
    return { tenantId, hostId, agentId, agentsUrl: this.#deps.agentsUrl(), chainPem, caPem: pem, policies };
  }

  async #openToken(secret: string): Promise<{ tokenId: string; tenantId: string; siteId: string }> {
    const read = readEnrolSecret(secret);
    const token =
      read === null
        ? null
        : await this.#deps.db.inSystem('agents.findToken', (tx) => repository.findToken(tx, read.tokenId));
    if (read === null || token === null || !sameHash(read.sha256, token.secretSha256)) {
      throw new AppError('enrolment_token_unusable');
    }
    const fault = tokenFault(token, this.#deps.clock.now());
    if (fault === null) return { tokenId: read.tokenId, tenantId: token.tenantId, siteId: token.siteId };
    await this.#deps.db.inTenant(token.tenantId, (tx) =>
      this.#deps.audit.record(tx, {
        action: 'agent.refused',
        actorKind: 'anonymous',
        actorId: null,
        subjectType: 'enrolment_token',
        subjectId: read.tokenId,
        outcome: 'refused',
        digest: null,
        details: { code: `token_${fault}` },
      }),
    );
    throw new AppError('enrolment_token_unusable');
  }

  async #admit(
    tx: TenantTx,
    newcomer: Newcomer,
    request: EnrolRequest,
  ): Promise<{ hostId: string; policies: Envelope[]; replaced: string[] }> {
    const { agentId, tokenId, siteId, hostname, resultPublicKey, certificate } = newcomer;
    if (!(await repository.consumeToken(tx, tokenId, this.#deps.clock.now()))) {
      throw new AppError('enrolment_token_unusable');
    }
    const policies = await this.#deps.trust.chain(tx);
    if (policies.length === 0) throw noPolicy();
    const { machineId, agentVersion } = request;
    const hostId = await this.#deps.fleet.registerHost(tx, { siteId, hostname, machineId });
    const replaced = await agents.revokeOfHost(tx, hostId, 'enrolled again');
    await agents.insertAgent(tx, { id: agentId, hostId, resultPublicKey, version: agentVersion });
    await agents.insertCertificate(tx, { agentId, generation: 1 }, certificate);
    await repository.recordTokenHost(tx, tokenId, hostId);
    await this.#deps.audit.record(tx, {
      action: 'agent.enrolled',
      actorKind: 'agent',
      actorId: agentId,
      subjectType: 'host',
      subjectId: hostId,
      outcome: 'ok',
      digest: sha256Of(resultPublicKey).toString('hex'),
      details: { hostname, siteId, tokenId, serial: certificate.serial, replaced },
    });
    await this.#deps.emit(tx, { type: 'host.changed', subjectId: hostId, data: { hostname } });
    await this.#deps.emit(tx, { type: 'agent.changed', subjectId: agentId, data: { hostId } });
    return { hostId, policies, replaced };
  }
}
