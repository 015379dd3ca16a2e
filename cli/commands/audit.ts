import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import type { AuditVerification } from '#contract/audit.ts';
import { findSupervisor } from '../../stack/daemonState.ts';
import { StackError } from '../../stack/text.ts';
import { downloadLog } from '../audit/remoteLog.ts';
import { verifyDirectory } from '../audit/verifyDirectory.ts';
import type { CliContext } from '../context.ts';
import { exitCodes } from '../exitCodes.ts';
import { CommandError, guarded } from '../failures.ts';
import { connect, findTenant, withTenant } from '../serverAccess.ts';
import type { ServerFlags } from '../serverAccess.ts';
import { serverCommand } from '../serverCommand.ts';

type Verified = AuditVerification & { readonly log: string };

interface VerifyFlags extends ServerFlags {
  readonly dir?: string;
  readonly key?: string;
  readonly kept?: string;
}
interface ExportFlags extends ServerFlags {
  readonly out: string;
}

/** `audit verify` and `audit export`: the log checked where it lives, or away from the server. */
export function registerAudit(program: Command, context: CliContext): void {
  const audit = program
    .command('audit')
    .description(
      context.text(['vérifie ou exporte le journal d’audit', 'verifies or exports the audit log']),
    );
  withTenant(audit.command('verify'), context)
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
    .action(guarded(context, (flags: VerifyFlags) => verify(context, flags)));
  withTenant(audit.command('export'), context)
    .description(
      context.text([
        'écrit le journal (C2SP tlog-tiles) et sa clé publique',
        'writes the log (C2SP tlog-tiles) and its public key',
      ]),
    )
    .requiredOption('--out <dir>', context.text(['dossier à remplir', 'directory to fill']))
    .action(guarded(context, (flags: ExportFlags) => exportLogs(context, flags)));
}

async function verify(context: CliContext, flags: VerifyFlags): Promise<void> {
  const results =
    flags.dir === undefined ? await verifyLive(context, flags) : await verifyCopies(flags.dir, flags);
  for (const result of results) sayResult(context, result);
  const ok = results.every((result) => result.ok);
  context.answer({ ok, logs: results });
  if (!ok) process.exitCode = exitCodes.failed;
  else if (results.length === 0) context.say(['Aucun journal scellé.', 'No sealed log.']);
}

/** A named server or credential: through the API, with that caller's rights. Otherwise with those of this machine's owner. */
function isRemote(flags: ServerFlags): boolean {
  return flags.server !== undefined || flags.apiKeyFile !== undefined;
}

/** Lines of JSON that the server's program printed, one a log. */
async function askServer(
  context: CliContext,
  args: readonly string[],
  tenant: string | undefined,
): Promise<unknown[]> {
  if (findSupervisor(context.directories.stateDir) === undefined) {
    throw new CommandError(
      [
        'rien ne tourne : ./atlas up, ou vérifiez une copie avec --dir',
        'nothing is running: ./atlas up, or verify a copy with --dir',
      ],
      exitCodes.notRunning,
    );
  }
  if (tenant !== undefined && !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(tenant)) {
    throw new CommandError(
      [
        `sans --server, le client est donné par son identifiant : ${tenant}`,
        `without --server, the tenant is named by its id: ${tenant}`,
      ],
      exitCodes.usage,
    );
  }
  const named = tenant === undefined ? [] : [tenant];
  const printed = await serverCommand(context.directories, ['audit', ...args, ...named]);
  return printed
    .split('\n')
    .filter((line) => line.startsWith('{"tenantId"'))
    .map((line) => JSON.parse(line) as unknown);
}

async function verifyLive(context: CliContext, flags: VerifyFlags): Promise<Verified[]> {
  if (isRemote(flags)) {
    const api = connect(context, flags);
    const tenantId = await findTenant(api, flags);
    return [{ log: tenantId, ...(await api.call('verifyAudit', { params: { tenantId } })) }];
  }
  const lines = (await askServer(context, ['verify'], flags.tenant)) as (AuditVerification & {
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

interface Exported {
  readonly tenantId: string;
  readonly directory: string;
  readonly size: number;
}

async function exportLogs(context: CliContext, flags: ExportFlags): Promise<void> {
  const lines = await writeCopies(context, flags);
  for (const { tenantId, size, directory } of lines) {
    context.say([
      `${tenantId} : ${size} entrées dans ${directory}`,
      `${tenantId}: ${size} entries in ${directory}`,
    ]);
  }
  context.answer({ logs: lines });
}

async function writeCopies(context: CliContext, flags: ExportFlags): Promise<Exported[]> {
  const out = path.resolve(flags.out);
  if (isRemote(flags)) {
    const api = connect(context, flags);
    const tenantId = await findTenant(api, flags);
    return [{ tenantId, ...(await downloadLog(api, tenantId, path.join(out, tenantId))) }];
  }
  return (await askServer(context, ['export', out], flags.tenant)) as Exported[];
}
