import type { Envelope } from '#contract/dsse.ts';
import { bootstrapMember } from '../../server/src/features/access/access.bootstrap.ts';
import { bootstrapTenant } from '../../server/src/features/tenants/tenants.bootstrap.ts';
import type { Platform } from '../../server/src/main.platform.ts';
import { newRootKey, signRoots } from './hosts-world.ts';
import type { TestIssuer } from './issuer.ts';
import { RecordedAgent } from './recorded-agent.ts';
import type { ServerNode } from './server-node.ts';

/** A client of the installation with one host; each machine is one host in each tenant. */
export interface NodeClient {
  readonly tenantId: string;
  readonly siteId: string;
  readonly username: string;
  agent: RecordedAgent;
}

interface Ask {
  readonly at: ServerNode;
  /** Method and address under the client’s own, as `POST /hosts/…/scan`. */
  readonly to: string;
  readonly body?: unknown;
}

/** Clients of server processes that were started as they are in the field. */
export class NodeClients {
  readonly all: NodeClient[] = [];
  readonly #platform: Platform;
  readonly #issuer: TestIssuer;

  constructor(platform: Platform, issuer: TestIssuer) {
    this.#platform = platform;
    this.#issuer = issuer;
  }

  /** Asks the API of a node as the client's administrator, freshly signed in with a second factor. */
  async call<T>(client: NodeClient, { at, to, body }: Ask): Promise<T> {
    const [method, where] = to.split(' ') as [string, string];
    const token = await this.#issuer.token({ subject: client.username, acr: 3 });
    const answer = await fetch(`${at.url}/api/v1/tenants/${client.tenantId}${where}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${to}: ${answer.status} ${await answer.text()}`);
    return (answer.status === 204 ? null : await answer.json()) as T;
  }

  /** A new client whose policy is published, and whose host is enrolled, through this node. */
  async add(node: ServerNode, slug: string): Promise<NodeClient> {
    const { tenantId, siteId } = await bootstrapTenant(
      { ...this.#platform, siteCreated: () => Promise.resolve() },
      { name: slug, slug, site: { name: 'Siège', timeZone: 'Europe/Paris' } },
    );
    const username = `admin-${slug}`;
    await bootstrapMember(this.#platform, tenantId, {
      account: { subject: username, username, name: username, email: null },
      locale: 'fr',
      roles: ['tenant_admin', 'operator'],
    });
    const client = { tenantId, siteId, username } as NodeClient;
    const root = newRootKey();
    const draft = await this.call<Pick<Envelope, 'payloadType' | 'payload'>>(client, {
      at: node,
      to: 'POST /policy-documents/drafts',
      body: {
        removeKeyIds: [],
        rootKeys: [{ keyId: root.keyId, publicKey: root.publicKey }],
        rootThreshold: 1,
      },
    });
    const envelope = signRoots(draft, [root]);
    await this.call(client, { at: node, to: 'POST /policy-documents', body: { envelope } });
    const { token } = await this.call<{ token: string }>(client, {
      at: node,
      to: 'POST /enrolment-tokens',
      body: { siteId, expiresInMinutes: 60 },
    });
    client.agent = await RecordedAgent.enrol(token);
    this.all.push(client);
    return client;
  }

  /** Asks for a reading of the client's host; the answer is given once the order is durable. */
  scan(node: ServerNode, client: NodeClient): Promise<{ readonly commandId: string }> {
    return this.call(client, { at: node, to: `POST /hosts/${client.agent.hostId}/scan` });
  }

  async remove(): Promise<void> {
    for (const { agent } of this.all) await agent.remove();
  }
}
