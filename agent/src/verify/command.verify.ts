import { Value } from 'typebox/value';
import type { Command } from '#contract/agent-link.ts';
import { verbCatalogue } from '#contract/verbs.ts';
import type { Order, OrderStep, ReleaseBundle, ReleaseDocument, TargetDocument } from '#contract/trust.ts';
import type { AgentView } from './agentView.ts';
import { checkLogProof } from './auditLog.check.ts';
import type { LogProof } from './auditLog.check.ts';
import { checkCaps } from './caps.check.ts';
import { checkLock } from './lock.check.ts';
import { isRefusal, refuse } from './refusal.ts';
import type { Refusal } from './refusal.ts';
import { checkEpoch, checkPayloadType, checkSize, checkTenant, openRelease } from './release.check.ts';
import type { OpenedRelease } from './release.check.ts';
import { checkSigners, checkThreshold } from './signatures.check.ts';
import { checkStepOrder } from './stepOrder.check.ts';
import { checkIsMe, checkOrders, findOrder, isVerb, openTarget } from './target.check.ts';
import { checkClock, checkWindow } from './window.check.ts';

/** What a verified release says to this host. */
export interface VerifiedRelease {
  readonly release: ReleaseDocument;
  readonly target: TargetDocument;
  readonly payload: Buffer;
}

/** What may be done now: the signed order, never the server's words. */
export interface VerifiedOrder extends VerifiedRelease {
  readonly order: Order;
  readonly step: OrderStep;
  readonly hostRunId: string;
  readonly log: LogProof;
}

function checkPeople(opened: OpenedRelease, view: AgentView): Refusal | null {
  return (
    checkEpoch(opened.release, view.policy) ??
    checkTenant(opened.release, view.self.tenantId) ??
    checkSigners(opened.signers, opened.release) ??
    checkThreshold(opened.signers, opened.release, view.policy)
  );
}

/** Checks that do not depend on the command: who signed, and whether I am meant. */
export function verifyRelease(bundle: ReleaseBundle, view: AgentView): VerifiedRelease | Refusal {
  const early = checkSize(bundle) ?? checkPayloadType(bundle.envelope);
  if (early) return early;
  const opened = openRelease(bundle, view.policy);
  if (isRefusal(opened)) return opened;
  const people = checkPeople(opened, view);
  if (people) return people;
  const target = openTarget(bundle, opened.release);
  if (isRefusal(target)) return target;
  const refusal =
    checkIsMe(target, opened.release, view.self) ?? checkOrders(target.orders, opened.release, view.policy);
  return refusal ?? { release: opened.release, payload: opened.payload, target };
}

function checkMoment(command: Command, subject: Omit<VerifiedOrder, 'log'>, view: AgentView): Refusal | null {
  const { release, step, hostRunId, target, order } = subject;
  const history = view.history(release.id, hostRunId);
  if (checkClock(view)) return checkClock(view);
  const window = checkWindow(release, step, { ...view, history });
  if (window) return window;
  if (view.isKnownCommand(command.commandId)) return refuse('replayed', 'the command is in my journal');
  if (command.fence < view.highestFence(hostRunId))
    return refuse('fence_too_low', `fence ${command.fence} is of a former owner`);
  return (
    checkStepOrder(step, { orders: target.orders, history }) ??
    checkCaps({ order, release }, view.policy, view.restartsLast24h) ??
    checkLock(view.lock, { runId: release.runId, nowMs: view.nowMs }, view.policy)
  );
}

/**
 * Verifies one released command in the fixed order: envelope, people, target, order, moment, log.
 * Pure: the first failure wins, nothing is remembered, nothing is done.
 */
export function verifyReleasedCommand(
  command: Command,
  bundle: ReleaseBundle,
  view: AgentView,
): VerifiedOrder | Refusal {
  const verified = verifyRelease(bundle, view);
  if (isRefusal(verified)) return verified;
  const order = findOrder(command, verified.target, verified.release);
  if (isRefusal(order)) return order;
  const subject = { ...verified, order, step: order.step, hostRunId: command.hostRunId ?? '' };
  const refusal = checkMoment(command, subject, view);
  if (refusal) return refusal;
  const log = checkLogProof({ ...verified, audit: bundle.audit }, view.policy, view.checkpoints);
  return isRefusal(log) ? log : { ...subject, log };
}

/** A command without a release may only read (class R0) and takes no arguments. */
export function verifyReadCommand(command: Command, view: AgentView): Refusal | null {
  if (!isVerb(command.verb)) return refuse('verb_unknown', 'the verb is not in the catalogue');
  const spec = verbCatalogue[command.verb];
  if (spec.class !== 'R0') return refuse('order_not_released', `${command.verb} needs a release`);
  if (!Value.Check(spec.args, {})) return refuse('args_invalid', `${command.verb} needs arguments`);
  return view.isKnownCommand(command.commandId) ? refuse('replayed', 'the command is in my journal') : null;
}
