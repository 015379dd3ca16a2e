import type { Command } from 'commander';
import type { Plan, PlanPreview, PlanRequest } from '#contract/plans.ts';
import type { CliContext } from '../context.ts';
import { readDocument } from '../documentFile.ts';
import { guarded } from '../failures.ts';
import { collectPages } from '../pages.ts';
import { openTenant, withTenant } from '../serverAccess.ts';
import type { ServerFlags } from '../serverAccess.ts';
import { renderTable } from '../table.ts';

interface CreateFlags extends ServerFlags {
  readonly file: string;
  readonly dryRun?: boolean;
}
interface SubmitFlags extends ServerFlags {
  readonly reason: string;
  readonly ticket?: string;
}

/** `plans list|show|create|submit`. Signing a release needs a passkey, hence the browser. */
export function registerPlans(program: Command, context: CliContext): void {
  const plans = program
    .command('plans')
    .description(context.text(['plans de maintenance', 'maintenance plans']));
  withTenant(plans.command('list'), context)
    .description(context.text(['liste les plans, le dernier d’abord', 'lists the plans, newest first']))
    .action(
      guarded(context, async (flags: ServerFlags) => {
        const { api, tenantId } = await openTenant(context, flags);
        const items = await collectPages((query) => api.call('listPlans', { params: { tenantId }, query }));
        sayPlans(context, items);
        context.answer({ items });
      }),
    );
  withTenant(plans.command('show <planId>'), context)
    .description(context.text(['montre un plan et ses hôtes', 'shows a plan and its hosts']))
    .action(
      guarded(context, async (planId: string, flags: ServerFlags) => {
        const { api, tenantId } = await openTenant(context, flags);
        const detail = await api.call('getPlan', { params: { tenantId, planId } });
        sayPlans(context, [detail.plan]);
        sayPreview(context, detail.preview);
        for (const { how, endedAt, reason } of detail.endedExceptions)
          context.say(`  exception ${how} ${endedAt}  ${reason}`);
        context.answer(detail);
      }),
    );
  withTenant(plans.command('create'), context)
    .description(context.text(['fait un plan, immuable', 'makes a plan, immutable']))
    .requiredOption(
      '--file <file>',
      context.text([
        'document JSON : policyId, title, hostIds, windowIds ou notBefore et notAfter',
        'JSON document: policyId, title, hostIds, windowIds or notBefore and notAfter',
      ]),
    )
    .option('--dry-run', context.text(['montre le plan, ne le fait pas', 'shows the plan, does not make it']))
    .action(guarded(context, (flags: CreateFlags) => createPlan(context, flags)));
  withTenant(plans.command('submit <planId>'), context)
    .description(
      context.text([
        'demande la validation d’un plan ; les signatures se donnent dans le navigateur',
        'asks for the release of a plan; signatures are given in the browser',
      ]),
    )
    .requiredOption(
      '--reason <text>',
      context.text(['raison, lue par les signataires', 'reason, read by the signers']),
    )
    .option('--ticket <text>', context.text(['numéro de demande', 'number of the request']))
    .action(
      guarded(context, async (planId: string, flags: SubmitFlags) => {
        const { api, tenantId } = await openTenant(context, flags);
        const { reason, ticket } = flags;
        const body = { reason, ...(ticket === undefined ? {} : { ticket }) };
        const { release } = await api.call('createRelease', { params: { tenantId, planId }, body });
        context.say(`${release.state}  ${release.id}`);
        context.answer(release);
      }),
    );
}

async function createPlan(context: CliContext, flags: CreateFlags): Promise<void> {
  const body = readDocument<PlanRequest>(flags.file);
  const { api, tenantId } = await openTenant(context, flags);
  if (flags.dryRun === true) {
    const preview = await api.call('previewPlan', { params: { tenantId }, body });
    sayPreview(context, preview);
    context.answer(preview);
    return;
  }
  const detail = await api.call('createPlan', { params: { tenantId }, body });
  sayPlans(context, [detail.plan]);
  sayPreview(context, detail.preview);
  context.answer(detail);
}

function sayPlans(context: CliContext, plans: readonly Plan[]): void {
  const head = context.text(['état début hôtes titre id', 'state begin hosts title id']).split(' ');
  const rows = plans.map(({ id, state, notBefore, counts, title }) => [
    ...[state, notBefore, String(counts.included), title, id],
  ]);
  for (const line of renderTable([head, ...rows])) context.say(line);
}

function sayPreview(context: CliContext, { hosts, warnings, refusals = [] }: PlanPreview): void {
  const head = context.text(['hôte vague mises-à-jour décision', 'host wave updates decision']).split(' ');
  const rows = hosts.map(({ hostname, wave, updates, decision }) => [
    ...[hostname, String(wave ?? '—'), String(updates.length), decision.code],
  ]);
  context.say('');
  for (const line of renderTable([head, ...rows])) context.say(line);
  for (const { code, values } of [...refusals, ...warnings])
    context.say(`  ${code}  ${Object.values(values).join(' ')}`);
}
