import { describe, expect, it } from 'vitest';
import { faultOf, type JobEvent } from './faults.ts';
import { readSurvey } from './survey.ts';

const event = (task: string, facts: JobEvent['facts'] = {}, kind: JobEvent['event'] = 'ok'): JobEvent => ({
  event: kind,
  task,
  facts,
});
const unreachable = (msg: string) => faultOf([event('connect', { msg }, 'unreachable')])?.fault;

// What OpenSSH 9.2 and Ansible 2.19 said in the lab.
describe('what went wrong on the way to a host', () => {
  it.each([
    ['ssh: connect to host 192.0.2.1 port 22: Connection refused', 'unreachable'],
    ['ssh: connect to host 192.0.2.1 port 22: No route to host', 'unreachable'],
    ['@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @', 'wrong_host_key'],
    ['No ED25519 host key is known for x. Host key verification failed.', 'wrong_host_key'],
    ['atlas@192.0.2.1: Permission denied (publickey,password).', 'credential_refused'],
  ])('is named from what ssh said: %s', (said, fault) => {
    expect(unreachable(`Failed to connect to the host via ssh: ${said}`)).toBe(fault);
  });

  it('is a missing sudo, a missing Python or a missing engine when the host was reached', () => {
    const failed = (task: string, facts: JobEvent['facts']) =>
      faultOf([event('connect'), event(task, facts, 'failed')])?.fault;
    expect(failed('root', { stderr: 'sudo: a password is required' })).toBe('no_root');
    expect(failed('visit', { module_stderr: '/bin/sh: 1: /usr/bin/python3: not found' })).toBe('no_python');
    expect(failed('visit', { module_stderr: "ModuleNotFoundError: No module named 'shutil'" })).toBe(
      'no_python',
    );
    expect(failed('visit', { rc: 127 })).toBe('engine_missing');
    expect(failed('visit', { rc: 1, stderr: 'anything' })).toBe('engine_failed');
  });
});

describe('a survey of a host', () => {
  const told = (survey: string): JobEvent[] => [
    event('connect', { stdout: 'connected' }),
    event('root', { stdout: '0\r\n' }),
    event('python', { stdout: '3.11\r\n' }),
    event('survey', { stdout: survey }),
  ];
  const good = 'x86_64\r\nsystemd\r\nglibc 2.36\r\n/dev/loop0 8388608 500000 7000000 7% /\r\n';

  it('accepts what the engine runs on', () => {
    expect(readSurvey(told(good))).toMatchObject({
      ok: true,
      python: '3.11',
      arch: 'x86_64',
      freeBytes: 7_168_000_000,
    });
  });

  it.each([
    ['aarch64', 'processor'],
    ['x86_64\nnone', 'systemd'],
    ['x86_64\nsystemd\nglibc 2.17', 'glibc'],
    ['x86_64\nsystemd\nglibc 2.36\n/dev/sda1 100 10 90 10% /', 'free'],
  ])('refuses what it does not run on: %s', (survey, why) => {
    const found = readSurvey(told(survey));
    expect(found.fault).toBe('unsupported_host');
    expect(found.detail).toContain(why);
  });

  it('takes what a host says for text, whatever it looks like', () => {
    const evil = '{{ lookup("pipe", "id") }}$(id)`id`';
    const found = readSurvey(told(`${evil}\nsystemd`));
    expect(found.detail).toContain('{{ lookup("pipe"');
    expect(found.arch).toContain('$(id)');
  });
});
