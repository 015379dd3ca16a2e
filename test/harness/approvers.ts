import path from 'node:path';
import { payloadTypes, type Envelope } from '#contract/dsse.ts';
import { createSoftPasskey, type SoftPasskey } from '../../cli/softkey.ts';
import { ApproverKeysService } from '../../server/src/features/trust/approverKeys.service.ts';
import { newId } from '../../server/src/platform/ids.ts';
import { publicUrl, type HostsWorld } from './hosts-world.ts';

export interface Person {
  readonly kind: 'person';
  readonly id: string;
  readonly name: string;
  readonly email: string;
}

export interface Approver extends Person {
  readonly passkey: SoftPasskey;
}

export const { origin, hostname: rpId } = new URL(publicUrl);

/** Approvers of one tenant, with software passkeys in a folder. */
export function createApprovers(world: HostsWorld, tenantId: string, folder: string) {
  const keys = new ApproverKeysService(world.trustDeps);

  async function newPerson(name: string): Promise<Person> {
    const id = newId();
    await world.db.inSystem('tests.person', async (tx) => {
      await tx.insertInto('people').values({ id, subject: id, username: name, name }).execute();
      const roles = ['approver'];
      await tx.insertInto('memberships').values({ tenant_id: tenantId, person_id: id, roles }).execute();
    });
    return { kind: 'person', id, name, email: `${name}@example.org` };
  }

  async function challengeFor(person: Person): Promise<string> {
    const { challenge } = (await keys.start(tenantId, person)) as { challenge: string };
    return challenge;
  }

  async function newApprover(name: string): Promise<Approver> {
    const person = await newPerson(name);
    const passkey = await createSoftPasskey(path.join(folder, `${person.id}.key`), { rpId, origin });
    const response = passkey.register({ challenge: await challengeFor(person) });
    await keys.create(tenantId, person, { kind: 'webauthn', response });
    return { ...person, passkey };
  }

  /** A lock document signed by these people. */
  async function lockBy(
    signers: readonly [Approver, ...Approver[]],
    state: 'locked' | 'open',
    reason = 'test',
  ): Promise<Envelope> {
    const { payload } = await world.trust.locks.draft(tenantId, signers[0], { state, runId: null, reason });
    const bytes = Buffer.from(payload, 'base64url');
    const signatures = signers.map(({ passkey }) => passkey.sign(payloadTypes.lock, bytes));
    return { payloadType: payloadTypes.lock, payload, signatures };
  }

  return { keys, newPerson, newApprover, challengeFor, lockBy };
}
