import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { hkdfSync, randomBytes } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { AgentsDeps, LinkControl } from './agents.deps.ts';
import {
  createServerAuthority,
  createTenantAuthority,
  issueServerCertificate,
  serverCertificateLifeMs,
} from './authorities.ts';
import {
  derOf,
  exportPrivateKey,
  importPrivateKey,
  p256,
  rsa4096,
  sha256Of,
  toPem,
  type KeyedCertificate,
} from './x509.ts';

interface StoredTenantAuthority {
  readonly rootDer: string;
  readonly issuingDer: string;
  readonly issuingKeyPem: string;
}

interface StoredServerAuthority {
  readonly der: string;
  readonly keyPem: string;
}

/** The server's certificate with the authority above it, PEM. */
export interface ServerTls {
  readonly keyPem: string;
  readonly chainPem: string;
}

const serverAuthoritySecret = 'agents/server-authority';
const ticketSecret = 'agents/link-tickets';
const ticketKeyBytes = 48;
const dayMs = 86_400_000;

/** Keeps the authorities: who may sign for a tenant's agents, and who signs for this server. */
export class AuthorityService {
  readonly #deps: AgentsDeps;
  readonly #control: () => LinkControl;
  readonly #issuing = new Map<string, Promise<KeyedCertificate>>();
  #server: Promise<KeyedCertificate> | undefined;
  #leaf: { readonly tls: ServerTls; readonly renewAtMs: number } | undefined;

  constructor(deps: AgentsDeps, control: () => LinkControl) {
    this.#deps = deps;
    this.#control = control;
  }

  /** The issuing authority of a tenant; the whole authority is made at the first call, which takes seconds. */
  issuing(tenantId: string): Promise<KeyedCertificate> {
    const known = this.#issuing.get(tenantId);
    if (known !== undefined) return known;
    const loading = this.#loadIssuing(tenantId).catch((error: unknown) => {
      this.#issuing.delete(tenantId);
      throw error;
    });
    this.#issuing.set(tenantId, loading);
    return loading;
  }

  /** Root certificates of every tenant, PEM: whom the agents' listener believes. */
  async clientRootsPem(): Promise<string[]> {
    const rows = await this.#deps.db.inSystem('agents.loadAuthorities', (tx) =>
      tx.selectFrom('tenant_authorities').select('root_certificate').execute(),
    );
    return rows.map((row) => toPem(row.root_certificate));
  }

  /** The authority that agents pin, made once for the installation. */
  async serverAuthority(): Promise<{ der: Buffer; sha256: string; pem: string }> {
    const { certificate } = await this.#serverAuthority();
    const der = derOf(certificate);
    return { der, sha256: sha256Of(der).toString('hex'), pem: toPem(der) };
  }

  /** The server's own certificate, made anew in the last third of its life; its key is only in memory. */
  async serverTls(): Promise<ServerTls> {
    const nowMs = this.#deps.clock.now();
    if (this.#leaf !== undefined && nowMs < this.#leaf.renewAtMs) return this.#leaf.tls;
    const authority = await this.#serverAuthority();
    const leaf = await issueServerCertificate(authority, this.#deps.serverNames, nowMs);
    const tls = {
      keyPem: await exportPrivateKey(leaf.privateKey),
      chainPem: toPem(derOf(leaf.certificate)) + toPem(derOf(authority.certificate)),
    };
    this.#leaf = { tls, renewAtMs: nowMs + (serverCertificateLifeMs * 2) / 3 };
    return tls;
  }

  /**
   * What seals the tickets with which agents resume their TLS sessions: the same on every node and after a restart, so that a
   * whole fleet that comes back costs half; another one each day. Who an agent is, is looked up at every connection all the same.
   */
  async ticketKeys(): Promise<Buffer> {
    const secret = await this.#deps.secrets.getOrCreate(ticketSecret, () => randomBytes(32));
    const day = Math.floor(this.#deps.clock.now() / dayMs);
    return Buffer.from(hkdfSync('sha256', secret, '', `tickets of day ${day}`, ticketKeyBytes));
  }

  #serverAuthority(): Promise<KeyedCertificate> {
    this.#server ??= this.#loadServerAuthority().catch((error: unknown) => {
      this.#server = undefined;
      throw error;
    });
    return this.#server;
  }

  async #loadServerAuthority(): Promise<KeyedCertificate> {
    const bytes = await this.#deps.secrets.getOrCreate(serverAuthoritySecret, async () => {
      const made = await createServerAuthority(this.#deps.clock.now());
      const stored: StoredServerAuthority = {
        der: derOf(made.certificate).toString('base64'),
        keyPem: await exportPrivateKey(made.privateKey),
      };
      return Buffer.from(JSON.stringify(stored));
    });
    const stored = JSON.parse(bytes.toString('utf8')) as StoredServerAuthority;
    return {
      certificate: new x509.X509Certificate(Buffer.from(stored.der, 'base64')),
      privateKey: await importPrivateKey(stored.keyPem, p256),
    };
  }

  async #loadIssuing(tenantId: string): Promise<KeyedCertificate> {
    const { db, secrets } = this.#deps;
    let mine: { rootDer: Buffer; file: string } | undefined;
    const bytes = await secrets.getOrCreate(`tenants/${tenantId}/agents-authority`, async () => {
      const made = await createTenantAuthority(tenantId, this.#deps.clock.now());
      mine = { rootDer: made.rootDer, file: await this.#writeOffline(tenantId, made) };
      const stored: StoredTenantAuthority = {
        rootDer: made.rootDer.toString('base64'),
        issuingDer: made.issuingDer.toString('base64'),
        issuingKeyPem: made.issuingKeyPem,
      };
      return Buffer.from(JSON.stringify(stored));
    });
    const stored = JSON.parse(bytes.toString('utf8')) as StoredTenantAuthority;
    const rootDer = Buffer.from(stored.rootDer, 'base64');
    // Another process was first: the key made here belongs to no authority.
    if (mine !== undefined && !mine.rootDer.equals(rootDer)) await rm(mine.file, { force: true });
    const certificate = new x509.X509Certificate(Buffer.from(stored.issuingDer, 'base64'));
    const { numInsertedOrUpdatedRows } = await db.inTenant(tenantId, (tx) =>
      tx
        .insertInto('tenant_authorities')
        .values({
          tenant_id: tenantId,
          root_certificate: rootDer,
          issuing_certificate: derOf(certificate),
          issuing_not_after: certificate.notAfter,
        })
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirstOrThrow(),
    );
    if ((numInsertedOrUpdatedRows ?? 0n) > 0n) await this.#control().authoritiesChanged();
    return { certificate, privateKey: await importPrivateKey(stored.issuingKeyPem, rsa4096) };
  }

  /** The root key leaves through a file that the customer takes away; the database never holds it. */
  async #writeOffline(tenantId: string, made: { rootDer: Buffer; rootKeyPem: string }): Promise<string> {
    const { offlineDirectory } = this.#deps;
    await mkdir(offlineDirectory, { recursive: true, mode: 0o700 });
    const name = `tenant-${tenantId}-agents-root-${sha256Of(made.rootDer).toString('hex').slice(0, 16)}.pem`;
    const file = path.join(offlineDirectory, name);
    await writeFile(file, made.rootKeyPem + toPem(made.rootDer), { mode: 0o600, flag: 'wx', flush: true });
    return file;
  }
}
