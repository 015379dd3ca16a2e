import path from 'node:path';
import type { Directories } from './directories.ts';
import { answersOk } from './httpProbe.ts';
import { layKeycloak } from './keycloakBuild.ts';
import type { Ports } from './ports.ts';
import type { Secrets } from './secrets.ts';
import type { Service } from './unit.ts';

/** Service account that the server uses to reconcile the realm; Keycloak makes it at its first start. */
export const keycloakAdminClient = 'atlas-provisioner';

export type KeycloakOptions = { directories: Directories; ports: Ports; secrets: Secrets };

/** Keycloak on loopback behind the server's own proxy at /idp, its data in a database of its own. */
export function createKeycloakService({ directories, ports, secrets }: KeycloakOptions): Service {
  const targetDir = path.join(directories.stateDir, 'keycloak');
  const themesDir = path.join(directories.root, 'keycloak', 'themes');
  const { stateDir, cacheDir } = directories;
  return {
    kind: 'service',
    name: 'keycloak',
    after: ['postgres'],
    prepare: (work) => layKeycloak({ stateDir, cacheDir, themesDir, targetDir }, work),
    command: () => ({
      file: path.join(targetDir, 'bin', 'kc.sh'),
      args: ['start', '--optimized', ...runOptions(ports)],
      cwd: targetDir,
      // Secrets travel by the environment of that process only: arguments are readable by everybody on the machine.
      env: {
        ...process.env,
        KC_DB_PASSWORD: secrets.read('database-keycloak'),
        KC_BOOTSTRAP_ADMIN_CLIENT_ID: keycloakAdminClient,
        KC_BOOTSTRAP_ADMIN_CLIENT_SECRET: secrets.read('keycloak-admin'),
        JAVA_OPTS_KC_HEAP: '-Xms96m -Xmx640m',
        // A server of a few people: the second compiler costs more at start than it gives.
        JAVA_OPTS_APPEND: '-XX:TieredStopAtLevel=1 -Xshare:auto',
      },
    }),
    isReady: () => answersOk(`http://127.0.0.1:${ports.keycloakHealth}/health/ready`),
    readyTimeoutMs: 300_000,
    stopSignal: 'SIGTERM',
    stopTimeoutMs: 30_000,
  };
}

function runOptions(ports: Ports): string[] {
  return [
    // One node: without this it opens a cluster port to the whole network.
    '--cache=local',
    '--http-enabled=true',
    '--http-host=127.0.0.1',
    `--http-port=${ports.keycloak}`,
    `--http-management-port=${ports.keycloakHealth}`,
    `--hostname=http://localhost:${ports.people}/idp`,
    '--hostname-backchannel-dynamic=true',
    '--proxy-headers=xforwarded',
    '--proxy-trusted-addresses=127.0.0.1',
    '--db-url-host=127.0.0.1',
    `--db-url-port=${ports.postgres}`,
    '--db-url-database=keycloak',
    '--db-username=keycloak',
    '--log-console-color=false',
  ];
}
