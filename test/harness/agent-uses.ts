import { createHash, randomBytes } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { AgentBuild, BuildRollout } from '#contract/builds.ts';
import { payloadTypes } from '#contract/dsse.ts';
import type { RouteName } from '#contract/routes.ts';
import type { ReleaseDesk } from './release-desk.ts';
import { sshUses } from './ssh-uses.ts';

/** A build that the customer's root key has signed; its bytes are nothing that runs. */
function signedBuild(desk: ReleaseDesk) {
  const bytes = randomBytes(100);
  const document = {
    ...{ v: 1, tenant: desk.tenantId, version: '7.0.0', platform: 'linux-x64', bytes: bytes.length },
    sha256: createHash('sha256').update(bytes).digest('hex'),
    issuedAt: new Date().toISOString(),
    expiresAt: new Date(Date.now() + 86_400_000).toISOString(),
  };
  const payload = Buffer.from(canonicalize(document) ?? '').toString('base64url');
  const envelope = desk.signRoot({ payloadType: payloadTypes.agentBuild, payload });
  return { envelope, artefact: bytes.toString('base64url') };
}

/** One real use of each route of agent builds that changes something. */
function buildUses(desk: () => ReleaseDesk): (readonly [RouteName, () => Promise<unknown>])[] {
  const bringIn = () => desk().must<AgentBuild>('chief', 'importAgentBuild', { body: signedBuild(desk()) });
  const start = async () => {
    const { id: buildId } = await bringIn();
    const hostIds = [await desk().host('version')];
    const body = { buildId, hostIds, firstHosts: 1, soakMinutes: 0, reason: 'Essai' };
    return desk().must<BuildRollout>('chief', 'startBuildRollout', { body });
  };
  let running: Promise<BuildRollout> | undefined;
  return [
    ['importAgentBuild', bringIn],
    ['startBuildRollout', () => (running = start())],
    [
      'stopBuildRollout',
      async () => {
        const { id } = await (running ?? start());
        return desk().must('chief', 'stopBuildRollout', {
          params: { rolloutId: id },
          body: { reason: 'Essai' },
        });
      },
    ],
  ];
}

/** One real use of each route about how hosts are reached and which agent they run. */
export function agentUses(desk: () => ReleaseDesk): (readonly [RouteName, () => Promise<unknown>])[] {
  return [...sshUses(desk), ...buildUses(desk)];
}
