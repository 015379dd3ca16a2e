import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import type { HealthArgs, HealthCheck, PinnedPackage } from '#contract/verbs.ts';
import type { PackageProvider } from './packages.port.ts';
import { runCommand, tailOf } from './command.ts';

/** Outcome of one check, as results carry it. */
export interface CheckOutcome {
  readonly check: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly tookMs: number;
}

export interface HealthContext {
  readonly provider: PackageProvider | null;
  /** Packages that people approved for this host, for the check that they are in place. */
  readonly approved: readonly PinnedPackage[];
  readonly signal: AbortSignal;
}

type Verdict = { readonly ok: boolean; readonly detail: string };

const retryMs = 2000;
const oneCheckMs = 10_000;
const maxBodyBytes = 1 << 20;

/** The whole catalogue of commands: a check names one, it never brings one. */
const commands: Record<
  Extract<HealthCheck, { kind: 'command' }>['id'],
  readonly [string, readonly string[]]
> = {
  systemd_no_failed_units: [
    'systemctl',
    ['list-units', '--state=failed', '--plain', '--no-legend', '--no-pager'],
  ],
  dpkg_audit_clean: ['dpkg', ['--audit']],
  nginx_config_valid: ['nginx', ['-t', '-q']],
};

/** Short name of a check in results and on screens. */
export function nameCheck(check: HealthCheck): string {
  switch (check.kind) {
    case 'systemd':
      return `systemd ${check.unit}`;
    case 'tcp':
      return `tcp ${check.port}`;
    case 'http':
      return `http ${check.url}`;
    case 'command':
      return `command ${check.id}`;
    case 'approved_updates_installed':
      return check.kind;
  }
}

async function checkUnit(unit: string): Promise<Verdict> {
  const { exitCode, stdout } = await runCommand('systemctl', ['is-active', unit], { timeoutMs: oneCheckMs });
  return { ok: exitCode === 0, detail: stdout.trim() };
}

function tryPort(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 3000 });
    const end = (fault: string | null) => {
      socket.destroy();
      resolve(fault);
    };
    socket.once('connect', () => end(null));
    socket.once('timeout', () => end('no answer'));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
}

async function checkPort(port: number): Promise<Verdict> {
  const faults: string[] = [];
  for (const host of ['127.0.0.1', '::1']) {
    const fault = await tryPort(host, port);
    if (fault === null) return { ok: true, detail: 'open' };
    faults.push(`${host}: ${fault}`);
  }
  return { ok: false, detail: faults.join(', ') };
}

function fetchLocal(url: string): Promise<{ status: number; body: string } | string> {
  const start = url.startsWith('https:') ? httpsRequest : httpRequest;
  return new Promise((resolve) => {
    // The address is this host itself, whose certificate names the outside world.
    const call = start(url, { timeout: 5000, agent: false, ...{ rejectUnauthorized: false } }, (answer) => {
      const chunks: Buffer[] = [];
      let size = 0;
      answer.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size <= maxBodyBytes) chunks.push(chunk);
        else answer.destroy();
      });
      answer.on('close', () =>
        resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
      );
    });
    call.on('timeout', () => call.destroy(new Error('no answer')));
    call.on('error', (error) => resolve(error.message));
    call.end();
  });
}

async function checkHttp(check: Extract<HealthCheck, { kind: 'http' }>): Promise<Verdict> {
  const answer = await fetchLocal(check.url);
  if (typeof answer === 'string') return { ok: false, detail: answer };
  if (answer.status !== check.status) return { ok: false, detail: `status ${answer.status}` };
  const isThere = check.contains === undefined || answer.body.includes(check.contains);
  return { ok: isThere, detail: isThere ? `status ${answer.status}` : 'the expected text is missing' };
}

async function checkCommand(id: keyof typeof commands): Promise<Verdict> {
  const [program, args] = commands[id];
  const { exitCode, stdout, stderr } = await runCommand(program, args, { timeoutMs: oneCheckMs });
  const mustBeSilent = id !== 'nginx_config_valid';
  const ok = exitCode === 0 && (!mustBeSilent || stdout.trim() === '');
  return { ok, detail: tailOf(`${stdout}${stderr}`, 500) };
}

async function checkApproved(context: HealthContext): Promise<Verdict> {
  if (context.provider === null) return { ok: false, detail: 'no package manager' };
  const versions = await context.provider.installedVersions(context.approved);
  const missing = context.approved.filter((one) => versions.get(`${one.name}:${one.arch}`) !== one.version);
  const detail = missing
    .map((one) => `${one.name} is ${versions.get(`${one.name}:${one.arch}`) ?? 'absent'}`)
    .join(', ');
  return { ok: missing.length === 0, detail: detail.slice(0, 900) || `${context.approved.length} in place` };
}

function runCheck(check: HealthCheck, context: HealthContext): Promise<Verdict> {
  switch (check.kind) {
    case 'systemd':
      return checkUnit(check.unit);
    case 'tcp':
      return checkPort(check.port);
    case 'http':
      return checkHttp(check);
    case 'command':
      return checkCommand(check.id);
    case 'approved_updates_installed':
      return checkApproved(context);
  }
}

/** Tries one check every two seconds until it is green or the time is over. */
async function settleCheck(
  check: HealthCheck,
  untilMs: number,
  context: HealthContext,
): Promise<CheckOutcome> {
  const beganMs = Date.now();
  for (;;) {
    const verdict = await runCheck(check, context);
    const isOver = Date.now() + retryMs > untilMs || context.signal.aborted;
    if (verdict.ok || isOver) return { check: nameCheck(check), ...verdict, tookMs: Date.now() - beganMs };
    await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
}

/** Runs all checks side by side; each has the whole time to turn green. */
export async function runHealthChecks(args: HealthArgs, context: HealthContext): Promise<CheckOutcome[]> {
  const untilMs = Date.now() + args.withinS * 1000;
  return Promise.all(args.checks.map((check) => settleCheck(check, untilMs, context)));
}
