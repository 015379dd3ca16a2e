import type { SshAccess } from '#contract/reach.ts';
import type { RouteName } from '#contract/routes.ts';
import { createOpensshKey } from './openssh-key.ts';
import type { ReleaseDesk } from './release-desk.ts';

let made = 0;

/** Keeps an access to an address at which nobody is. */
export function createAccess(desk: ReleaseDesk, bend: Record<string, unknown> = {}): Promise<SshAccess> {
  made += 1;
  const [key, hostKey] = [createOpensshKey(), createOpensshKey()];
  return desk.must<SshAccess>('chief', 'createSshAccess', {
    body: {
      ...{ siteId: desk.siteId, name: 'pare-feu', address: `192.0.2.${made}`, port: 22, user: 'root' },
      ...{ privateKey: key.privateKey, hostKey: { type: 'ssh-ed25519', key: hostKey.publicKey } },
      ...bend,
    },
  });
}

/** One use of every route about SSH, on a machine where the runner was never installed: a fault is an answer. */
export function sshUses(getDesk: () => ReleaseDesk): [RouteName, () => Promise<unknown>][] {
  const ask = (name: RouteName, sshAccessId: string, body?: unknown) =>
    getDesk().must('chief', name, { params: { sshAccessId }, ...(body === undefined ? {} : { body }) });
  const reason = { reason: 'L’agent est mort' };
  return [
    [
      'readSshHostKeys',
      () => getDesk().must('chief', 'readSshHostKeys', { body: { address: '192.0.2.1', port: 22 } }),
    ],
    ['createSshAccess', () => createAccess(getDesk())],
    ['testSshAccess', async () => ask('testSshAccess', (await createAccess(getDesk())).id)],
    [
      'replaceSshKey',
      async () => {
        const { privateKey } = createOpensshKey();
        return ask('replaceSshKey', (await createAccess(getDesk())).id, { privateKey });
      },
    ],
    ['activateSshAccess', async () => ask('activateSshAccess', (await createAccess(getDesk())).id, reason)],
    [
      'deactivateSshAccess',
      async () => {
        const desk = getDesk();
        const hostId = await desk.host(`ssh-${made}`);
        const { id } = await createAccess(desk, { hostId });
        await desk.query(
          `update ssh_accesses set state = 'active', agent_id = (select id from agents where host_id = $2) where id = $1`,
          [id, hostId],
        );
        return ask('deactivateSshAccess', id, reason);
      },
    ],
    ['removeSshAccess', async () => ask('removeSshAccess', (await createAccess(getDesk())).id)],
  ];
}
