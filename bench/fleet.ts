import 'reflect-metadata';
import { createHash, generateKeyPairSync } from 'node:crypto';
import type { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type pg from 'pg';
import { newId } from '../server/src/platform/ids.ts';

/** One simulated agent: its identity, its certificate for TLS, its key for results. */
export interface SimulatedAgent {
  readonly tenantId: string;
  readonly agentId: string;
  readonly hostId: string;
  readonly certificatePem: string;
  readonly certificateSha256: string;
  readonly keyPem: string;
  readonly resultKeyPem: string;
  readonly resultPublicKey: string;
}

export interface SimulatedFleet {
  readonly caPem: string;
  readonly serverCertificatePem: string;
  readonly serverKeyPem: string;
  readonly agents: readonly SimulatedAgent[];
}

/** Marks commands of the peers: agents number their answers apart, so that the product's have no gap and none is dropped. */
export const peerFence = 1;

const ec = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const dayMs = 86_400_000;

type Pair = webcrypto.CryptoKeyPair;

function newPair(): Promise<Pair> {
  return crypto.subtle.generateKey(ec, true, ['sign', 'verify']);
}

async function pemOf(key: webcrypto.CryptoKey): Promise<string> {
  const der = await crypto.subtle.exportKey('pkcs8', key);
  return x509.PemConverter.encode(der, 'PRIVATE KEY');
}

function digestOf(certificate: x509.X509Certificate): string {
  return createHash('sha256').update(Buffer.from(certificate.rawData)).digest('hex');
}

/**
 * Makes an authority, a server certificate and one identity per agent. Client keys are P-256 here and RSA-4096 on real hosts:
 * the difference is in the handshake, which no scenario of commands measures.
 */
export async function createFleet(agents: number, tenants: number): Promise<SimulatedFleet> {
  const times = { notBefore: new Date(Date.now() - dayMs), notAfter: new Date(Date.now() + dayMs) };
  const authority = await newPair();
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=benchmark',
    keys: authority,
    signingAlgorithm: ec,
    ...times,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  const issue = async (name: string, alternative: x509.JsonGeneralName) => {
    const keys = await newPair();
    const certificate = await x509.X509CertificateGenerator.create({
      subject: `CN=${name}`,
      issuer: ca.subject,
      publicKey: keys.publicKey,
      signingKey: authority.privateKey,
      signingAlgorithm: ec,
      ...times,
      extensions: [new x509.SubjectAlternativeNameExtension([alternative])],
    });
    return { certificate, keyPem: await pemOf(keys.privateKey) };
  };
  const server = await issue('server', { type: 'ip', value: '127.0.0.1' });
  const tenantIds = Array.from({ length: tenants }, () => newId());
  const simulated: SimulatedAgent[] = [];
  for (let index = 0; index < agents; index += 1) {
    const [agentId, hostId, tenantId] = [newId(), newId(), tenantIds[index % tenants] ?? ''];
    const value = `atlas:tenant:${tenantId}:agent:${agentId}`;
    const { certificate, keyPem } = await issue('agent', { type: 'url', value });
    const result = generateKeyPairSync('ed25519');
    simulated.push({
      tenantId,
      agentId,
      hostId,
      certificatePem: certificate.toString('pem'),
      certificateSha256: digestOf(certificate),
      keyPem,
      resultKeyPem: result.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      resultPublicKey: result.publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
    });
  }
  return {
    caPem: ca.toString('pem'),
    serverCertificatePem: server.certificate.toString('pem'),
    serverKeyPem: server.keyPem,
    agents: simulated,
  };
}

/** Writes tenants, hosts and agents; the connection is the system role's. */
export async function storeFleet(client: pg.Client, fleet: SimulatedFleet): Promise<void> {
  const tenants = [...new Set(fleet.agents.map(({ tenantId }) => tenantId))];
  for (const [index, id] of tenants.entries()) {
    await client.query(`insert into tenants (id, name, slug) values ($1, 'Benchmark', $2)`, [
      id,
      `bench-${index}`,
    ]);
    await client.query(
      `insert into sites (id, tenant_id, name, time_zone) values ($1, $1, 'Site', 'Europe/Paris')`,
      [id],
    );
  }
  for (const [index, agent] of fleet.agents.entries()) {
    await client.query(
      `insert into hosts (id, tenant_id, site_id, hostname, machine_id, health_checks) values ($1, $2, $2, $3, $4, '[]')`,
      [agent.hostId, agent.tenantId, `sim-${index}`, index.toString(16).padStart(64, '0')],
    );
    await client.query(
      'insert into agents (id, tenant_id, host_id, result_public_key) values ($1, $2, $3, $4)',
      [agent.agentId, agent.tenantId, agent.hostId, Buffer.from(agent.resultPublicKey, 'base64')],
    );
    await client.query(
      `insert into agent_certificates (sha256, tenant_id, agent_id, generation, serial, not_after, first_used_at)
       values ($1, $2, $3, 1, 'b0', now() + interval '1 day', now())`,
      [Buffer.from(agent.certificateSha256, 'hex'), agent.tenantId, agent.agentId],
    );
  }
}

/** Makes the tables of the naive design beside the product's, fenced the same way; the connection is the owner's. */
export async function createNaiveTables(client: pg.Client, fleet: SimulatedFleet): Promise<void> {
  await client.query(`
    create table naive_commands (
      id uuid primary key, tenant_id uuid not null, agent_id uuid not null, verb text not null, result bytea, signature bytea);
    create index on naive_commands (tenant_id, id);
    create table naive_audit (
      seq bigint not null, tenant_id uuid not null, action text not null, subject_id uuid not null, prev bytea not null, hash bytea not null,
      primary key (tenant_id, seq));
    create table naive_heads (tenant_id uuid primary key, seq bigint not null, hash bytea not null);
  `);
  for (const tenantId of new Set(fleet.agents.map((agent) => agent.tenantId))) {
    await client.query(`insert into naive_heads values ($1, 0, '\\x00')`, [tenantId]);
  }
  await client.query(`
    select atlas_tenant_table('naive_commands');
    select atlas_tenant_table('naive_audit');
    select atlas_tenant_table('naive_heads');
    analyze naive_heads, hosts, agents, agent_certificates;
  `);
}
