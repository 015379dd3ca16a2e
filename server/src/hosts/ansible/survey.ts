import type { SshTest } from '#contract/reach.ts';
import { asDetail, faultOf, type JobEvent } from './faults.ts';

const steps = ['connect', 'root', 'python', 'survey'] as const;
/** Room for the engine and its archive while it is unpacked. */
const leastFreeBytes = 400_000_000;

type Found = Omit<SshTest, 'sandbox' | 'tookMs'>;

function stdoutOf(events: readonly JobEvent[], task: string): string {
  return String(events.find((one) => one.task === task)?.facts['stdout'] ?? '').trim();
}

/** What the contact playbook learnt; facts of a host are read here as text and go nowhere else. */
export function readSurvey(events: readonly JobEvent[]): Found {
  const done = steps
    .map((step) => ({ step, event: events.find(({ task }) => task === step) }))
    .flatMap(({ step, event }) => (event === undefined ? [] : [{ step, ok: event.event === 'ok' }]));
  const [arch = '', manager = '', libc = '', disk = ''] = stdoutOf(events, 'survey')
    .split(/\r?\n/)
    .map((line) => line.trim());
  const free = Number(disk.split(/\s+/)[3]) * 1024;
  const found = {
    steps: done,
    python: asDetail(stdoutOf(events, 'python'), 40) || null,
    arch: asDetail(arch, 40) || null,
    freeBytes: Number.isSafeInteger(free) && free >= 0 ? free : null,
  };
  const fault = faultOf(events);
  if (fault !== null) {
    const code = fault.fault === 'engine_missing' ? 'engine_failed' : fault.fault;
    return { ok: false, fault: code, detail: fault.detail, ...found, steps: done };
  }
  if (stdoutOf(events, 'root') !== '0')
    return { ok: false, fault: 'no_root', detail: asDetail(stdoutOf(events, 'root')), ...found };
  const wrong = unsupported({ arch, manager, libc, freeBytes: found.freeBytes });
  if (wrong !== null) return { ok: false, fault: 'unsupported_host', detail: wrong, ...found };
  return { ok: true, fault: null, detail: '', ...found };
}

function unsupported(host: {
  arch: string;
  manager: string;
  libc: string;
  freeBytes: number | null;
}): string | null {
  if (host.arch !== 'x86_64') return `processor ${asDetail(host.arch, 40)}; x86_64 is needed`;
  if (host.manager !== 'systemd') return 'systemd is needed';
  const [, major = '0', minor = '0'] = /^glibc (\d+)\.(\d+)/.exec(host.libc) ?? [];
  if (Number(major) < 2 || (Number(major) === 2 && Number(minor) < 28))
    return 'glibc 2.28 or newer is needed';
  if (host.freeBytes !== null && host.freeBytes < leastFreeBytes)
    return `${host.freeBytes} bytes are free under /var/lib; ${leastFreeBytes} are needed`;
  return null;
}
