import { describe, expect, it } from 'vitest';
import type { HostRunSummary, RunDetail } from '#contract/runs.ts';
import type { LabHost } from '../../lab/host.ts';
import { compareHosts, overBudget } from './drill.judge.ts';

const hostRun = (hostname: string, state: HostRunSummary['state'], code: string | null = 'check_failed') =>
  ({ hostname, state, lastDecision: code === null ? null : { code } }) as HostRunSummary;

/** A machine that answers with this version, and serves or does not. */
const machine = (version: string, serves = true) => ({
  id: 'host',
  lab: {
    exec: (command: string | readonly string[]) =>
      Promise.resolve(
        typeof command === 'string'
          ? { exitCode: 0, stdout: version, stderr: '' }
          : { exitCode: serves ? 0 : 3, stdout: '', stderr: '' },
      ),
  } as unknown as LabHost,
});

async function agrees(run: HostRunSummary, found: ReturnType<typeof machine>): Promise<boolean | undefined> {
  const detail = { hostRuns: [run] } as unknown as RunDetail;
  const [finding] = await compareHosts(detail, new Map([[run.hostname, found]]));
  return finding?.agrees;
}

describe('the judge of a drill', () => {
  it('believes a host only when the machine itself tells the same', async () => {
    expect(await agrees(hostRun('data-1', 'committed', null), machine('1.1'))).toBe(true);
    expect(await agrees(hostRun('data-1', 'committed', null), machine('1.0'))).toBe(false);
    expect(await agrees(hostRun('apps-2', 'rolled_back'), machine('1.0'))).toBe(true);
    expect(await agrees(hostRun('apps-2', 'rolled_back'), machine('1.1'))).toBe(false);
    expect(await agrees(hostRun('apps-2', 'rolled_back'), machine('1.0', false))).toBe(false);
  });

  it('takes neither an open end nor one that nobody explains', async () => {
    expect(await agrees(hostRun('edge-3', 'agent_lost'), machine('1.0'))).toBe(false);
    expect(await agrees(hostRun('edge-4', 'missed', null), machine('1.0'))).toBe(false);
    expect(await agrees(hostRun('edge-4', 'missed', 'window_over'), machine('1.0'))).toBe(true);
  });

  it('counts a silent host as one that is down', () => {
    expect(overBudget([hostRun('edge-1', 'agent_lost'), hostRun('edge-2', 'planned')])).toEqual([]);
    expect(overBudget([hostRun('edge-1', 'agent_lost'), hostRun('edge-2', 'preflight')])).toEqual([
      'edge: edge-1, edge-2',
    ]);
  });
});
