import type { hostSorts } from '#contract/fleet.ts';
import type { Inventory, PendingUpdate } from '#contract/inventory.ts';
import type { HealthCheck } from '#contract/verbs.ts';

/** Checks of every host, from the day it enrols. */
export const defaultHealthChecks: readonly HealthCheck[] = [
  { kind: 'command', id: 'systemd_no_failed_units' },
  { kind: 'command', id: 'dpkg_audit_clean' },
];

/** Services that a host is there for: when one of them runs, it must run again after an update. */
const knownServices = [
  'apache2',
  'bind9',
  'caddy',
  'docker',
  'dovecot',
  'gitea',
  'grafana-server',
  'haproxy',
  'httpd',
  'lighttpd',
  'mariadb',
  'memcached',
  'mysql',
  'named',
  'nfs-server',
  'nginx',
  'php8.2-fpm',
  'postfix',
  'postgresql',
  'prometheus',
  'rabbitmq-server',
  'redis-server',
  'samba-ad-dc',
  'slapd',
  'smbd',
  'ssh',
  'tomcat10',
  'valkey-server',
];
const maxSuggestedServices = 16;

/** Checks that suit what a host runs. `systemd_no_failed_units` is left out where a unit has failed already: it would never turn green. */
export function suggestHealthChecks(inventory: Inventory): HealthCheck[] {
  const running = new Set(inventory.services.map((name) => name.replace(/\.service$/, '')));
  const services = knownServices.filter((name) => running.has(name)).slice(0, maxSuggestedServices);
  const general = defaultHealthChecks.filter(
    (check) =>
      check.kind !== 'command' ||
      (check.id === 'systemd_no_failed_units'
        ? inventory.failedUnits.length === 0
        : inventory.os.family === 'debian'),
  );
  return [
    ...general,
    ...services.map((name): HealthCheck => ({ kind: 'systemd', unit: `${name}.service` })),
    ...(services.includes('nginx') ? [{ kind: 'command', id: 'nginx_config_valid' } as const] : []),
  ];
}

/** Numbers of an inventory by which lists sort and count. */
export function countsOf(inventory: Inventory): { updates: number; security: number } {
  return {
    updates: inventory.updates.length,
    security: inventory.updates.filter(({ security }) => security).length,
  };
}

export type HostSort = (typeof hostSorts)[number];

/** Security first, then by name: the order in which people read updates. */
export function orderUpdates(updates: readonly PendingUpdate[]): PendingUpdate[] {
  return [...updates].sort((a, b) => {
    const [left, right] = [updateKey(a), updateKey(b)];
    return left < right ? -1 : left > right ? 1 : 0;
  });
}

/** Place of an update in that order. */
export function updateKey(update: PendingUpdate): string {
  return `${update.security ? '0' : '1'} ${update.name} ${update.arch} ${update.version}`;
}
