import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { must } from './machine.ts';

/** A network namespace in which hosts live, tied to this machine by one pair of interfaces. */
export interface HostNetwork {
  /** Address of this machine, as hosts see it. */
  readonly gateway: string;
  /** Front of a command line that runs inside. */
  readonly enter: readonly string[];
  /** Rules of nftables inside, each `input …` or `output …`; none when empty. */
  readonly apply: (rules: readonly string[]) => void;
  readonly close: () => void;
}

/** Makes the namespace. Its addresses are of 198.18.0.0/15, which RFC 2544 sets apart for tests of networks. */
export function openHostNetwork(): HostNetwork {
  const tag = randomBytes(3).toString('hex');
  const [name, outer, inner] = [`atlas-f-${tag}`, `af${tag}o`, `af${tag}i`];
  const block = `198.18.${Number.parseInt(tag.slice(0, 2), 16)}`;
  const gateway = `${block}.1`;
  const within = (...args: string[]): string => must('ip', 'netns', 'exec', name, ...args);
  const close = (): void => {
    // The pair of interfaces goes with the namespace; what never came to be needs no removal.
    spawnSync('ip', ['netns', 'del', name]);
    spawnSync('ip', ['link', 'del', outer]);
  };
  try {
    must('ip', 'netns', 'add', name);
    must('ip', 'link', 'add', outer, 'type', 'veth', 'peer', 'name', inner, 'netns', name);
    must('ip', 'address', 'add', `${gateway}/24`, 'dev', outer);
    must('ip', 'link', 'set', outer, 'up');
    within('ip', 'address', 'add', `${block}.2/24`, 'dev', inner);
    within('ip', 'link', 'set', inner, 'up');
    within('ip', 'link', 'set', 'lo', 'up');
  } catch (error) {
    close();
    throw error;
  }
  const apply = (rules: readonly string[]): void => {
    const script = [
      'add table inet faults',
      'delete table inet faults',
      'add table inet faults',
      'add chain inet faults input { type filter hook input priority 0; }',
      'add chain inet faults output { type filter hook output priority 0; }',
      ...rules.map((rule) => `add rule inet faults ${rule}`),
    ];
    within('nft', script.join('\n'));
  };
  return { gateway, enter: ['nsenter', `--net=/run/netns/${name}`, '--'], apply, close };
}
