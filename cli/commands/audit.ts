import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import type { AuditVerification } from '#contract/audit.ts';
import { findSupervisor } from '../../stack/daemonState.ts';
import { StackError } from '../../stack/text.ts';
import { verifyDirectory } from '../audit/verifyDirectory.ts';
import type { CliContext } from '../context.ts';
import { exitCodes } from '../exitCodes.ts';
import { serverCommand } from '../serverCommand.ts';

type Verified = AuditVerification & { readonly log: string };

interface VerifyFlags {
  dir?: string;
  key?: string;
  kept?: string;
  tenant?: string;
}

/** `audit verify` and `audit export`: the log checked where it lives, or away from the server. */
export function registerAudit(program: Command, context: CliContext): void {
  const audit = program
    .command('audit')
    .description(
      context.text(['vérifie ou exporte le journal d’audit', 'verifies or exports the audit log']),
    );
  audit
    .command('verify')
    .description(
      context.text([
        'recalcule tout le journal et nomme la première ligne fausse (état 1)',
        'recomputes the whole log and names the first bad row (status 1)',
      ]),
    )
    .option(
      '--dir <dir>',
      context.text(['journal exporté, sans le serveur', 'exported log, without the server']),
    )
    .option(
      '--key <file>',
      context.text(['clé du journal (défaut : log.vkey)', 'key of the log (default: log.vkey)']),
    )
    .option(
      '--kept <file>',
      context.text(['point de contrôle gardé ailleurs', 'checkpoint that was kept elsewhere']),
    )
    .option('--tenant <id>', context.text(['un seul client', 'one tenant only']))
    .action((flags: VerifyFlags) => verify(context, flags));
  audit
    .command('export')
    .description(
      context.text([
        'écrit le journal (C2SP tlog-tiles) et sa clé publique',
        'writes the log (C2SP tlog-tiles) and its public key',
      ]),
    )
    .requiredOption('--out <dir>', context.text(['dossier à remplir', 'directory to fill']))
    .option('--tenant <id>', context.text(['un seul client', 'one tenant only']))
    .action((flags: { out: string; tenant?: string }) => exportLogs(context, flags));
}

async function verify(context: CliContext, flags: VerifyFlags): Promise<void> {
  try {
    const results =
      flags.dir === undefined ? await verifyLive(context, flags) : await verifyCopies(flags.dir, flags);
    for (const result of results) sayResult(context, result);
    const ok = results.every((result) => result.ok);
    context.answer({ ok, logs: results });
    if (!ok) process.exitCode = exitCodes.failed;
    else if (results.length === 0) context.say(['Aucun journal scellé.', 'No sealed log.']);
  } catch (error) {
    context.fail(error, error instanceof NotRunning ? exitCodes.notRunning : exitCodes.failed);
  }
}

/** Nothing runs here: the live log is out of reach, a copy can still be verified. */
class NotRunning extends StackError {
  constructor() {
    super([
      'rien ne tourne : ./atlas up, ou vérifiez une copie avec --dir',
      'nothing is running: ./atlas up, or verify a copy with --dir',
    ]);
  }
}

/** Lines of JSON that the server's program printed, one a log. */
async function askServer(context: CliContext, args: readonly string[]): Promise<unknown[]> {
  if (findSupervisor(context.directories.stateDir) === undefined) throw new NotRunning();
  const printed = await serverCommand(context.directories, ['audit', ...args]);
  return printed
    .split('\n')
    .filter((line) => line.startsWith('{"tenantId"'))
    .map((line) => JSON.parse(line) as unknown);
}

async function verifyLive(context: CliContext, flags: VerifyFlags): Promise<Verified[]> {
  const tenant = flags.tenant === undefined ? [] : [flags.tenant];
  const lines = (await askServer(context, ['verify', ...tenant])) as (AuditVerification & {
    tenantId: string;
  })[];
  return lines.map(({ tenantId, ...result }) => ({ log: tenantId, ...result }));
}

/** The directory itself when it holds a log, otherwise every log one level below it. */
async function verifyCopies(directory: string, flags: VerifyFlags): Promise<Verified[]> {
  const holdsLog = (folder: string): boolean => existsSync(path.join(folder, 'checkpoint'));
  const below = existsSync(directory) ? readdirSync(directory).map((name) => path.join(directory, name)) : [];
  const folders = holdsLog(directory) ? [directory] : below.filter(holdsLog);
  if (folders.length === 0) {
    throw new StackError([`aucun journal dans ${directory}`, `no log in ${directory}`]);
  }
  const results: Verified[] = [];
  for (const folder of folders) {
    const result = await verifyDirectory({
      directory: folder,
      ...(flags.key === undefined ? {} : { keyFile: flags.key }),
      ...(flags.kept === undefined ? {} : { keptFile: flags.kept }),
    });
    results.push({ log: path.basename(path.resolve(folder)), ...result });
  }
  return results;
}

function sayResult(context: CliContext, result: Verified): void {
  const { log, ok, size, rootSha256, firstBad } = result;
  context.say(
    ok
      ? [
          `${log} : ${size} entrées vérifiées, racine ${rootSha256}`,
          `${log}: ${size} entries verified, root ${rootSha256}`,
        ]
      : [`${log} : NE SE VÉRIFIE PAS`, `${log}: DOES NOT VERIFY`],
  );
  for (const step of result.steps) {
    context.say(`  ${step.ok ? '✓' : '✗'} ${step.step.padEnd(12)} ${step.detail}`.trimEnd());
  }
  if (firstBad === null) return;
  const entry = firstBad.entryId === null ? '' : ` (${firstBad.entryId})`;
  context.say([
    `  première ligne fausse : ${firstBad.index}${entry}, ${firstBad.reason}`,
    `  first bad row: ${firstBad.index}${entry}, ${firstBad.reason}`,
  ]);
}

async function exportLogs(context: CliContext, flags: { out: string; tenant?: string }): Promise<void> {
  try {
    const tenant = flags.tenant === undefined ? [] : [flags.tenant];
    const lines = (await askServer(context, ['export', path.resolve(flags.out), ...tenant])) as {
      tenantId: string;
      directory: string;
      size: number;
    }[];
    for (const { tenantId, size, directory } of lines) {
      context.say([
        `${tenantId} : ${size} entrées dans ${directory}`,
        `${tenantId}: ${size} entries in ${directory}`,
      ]);
    }
    context.answer({ logs: lines });
  } catch (error) {
    context.fail(error, error instanceof NotRunning ? exitCodes.notRunning : exitCodes.failed);
  }
}
