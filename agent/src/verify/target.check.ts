import { Value } from 'typebox/value';
import { TargetDocument } from '#contract/trust.ts';
import type { Order, PolicyDocument, ReleaseBundle, ReleaseDocument } from '#contract/trust.ts';
import type { Command } from '#contract/agent-link.ts';
import { verbCatalogue, verbCatalogueText, verbClasses } from '#contract/verbs.ts';
import type { Verb, VerbClass } from '#contract/verbs.ts';
import { decodeBase64Url, sha256Hex } from '../trust/bytes.ts';
import { verifyInclusion } from '../trust/merkle.ts';
import type { AgentSelf } from './agentView.ts';
import { refuse } from './refusal.ts';
import type { Refusal } from './refusal.ts';
import { parseDocument } from './release.check.ts';

/** Opens the target document after proving that it is a leaf of the tree that people signed. */
export function openTarget(bundle: ReleaseBundle, release: ReleaseDocument): TargetDocument | Refusal {
  const leaf = decodeBase64Url(bundle.target);
  if (leaf === null) return refuse('malformed', 'target is not canonical base64url');
  const claim = {
    leaf,
    index: bundle.targetIndex,
    size: release.targetsCount,
    root: release.targetsRoot,
    proof: bundle.targetProof,
  };
  if (!verifyInclusion(claim)) return refuse('not_a_target', 'the target is not in the signed tree');
  const parsed = parseDocument(leaf);
  if ('fault' in parsed) return refuse('malformed', `target: ${parsed.fault}`);
  if (!Value.Check(TargetDocument, parsed.value)) return refuse('malformed', 'leaf is not a target document');
  const steps = parsed.value.orders.map((order) => order.step);
  if (new Set(steps).size !== steps.length) return refuse('malformed', 'two orders for one step');
  return parsed.value;
}

export function checkIsMe(target: TargetDocument, release: ReleaseDocument, self: AgentSelf): Refusal | null {
  if (target.release !== release.id)
    return refuse('not_a_target', 'the target document is of another release');
  if (target.host !== self.hostId) return refuse('not_a_target', 'the target document is for another host');
  return target.agent === self.agentId
    ? null
    : refuse('not_a_target', 'the target document is for another agent');
}

function classRank(verbClass: VerbClass): number {
  return verbClasses.indexOf(verbClass);
}

export function isVerb(name: string): name is Verb {
  return Object.hasOwn(verbCatalogue, name);
}

const catalogueSha256 = sha256Hex(Buffer.from(verbCatalogueText));

/** Every signed order must be sound, also those that the server has not asked for yet. */
export function checkOrders(
  orders: readonly Order[],
  release: ReleaseDocument,
  policy: PolicyDocument,
): Refusal | null {
  if (policy.verbCatalogueSha256 !== catalogueSha256)
    return refuse('verb_unknown', 'the policy document speaks of another verb catalogue than mine');
  const unknown = orders.find((order) => !isVerb(order.verb));
  if (unknown) return refuse('verb_unknown', `verb ${unknown.verb} is not in the catalogue`);
  const invalid = orders.find(
    (order) => isVerb(order.verb) && !Value.Check(verbCatalogue[order.verb].args, order.args),
  );
  if (invalid) return refuse('args_invalid', `arguments of ${invalid.verb} do not fit the catalogue`);
  const above = orders.find(
    (order) => isVerb(order.verb) && classRank(verbCatalogue[order.verb].class) > classRank(release.class),
  );
  return above ? refuse('class_mismatch', `${above.verb} is above class ${release.class}`) : null;
}

/** The command only points at a signed order; what is done comes from the order. */
export function findOrder(
  command: Command,
  target: TargetDocument,
  release: ReleaseDocument,
): Order | Refusal {
  if (command.releaseId !== release.id) return refuse('order_not_released', 'command is of another release');
  if (command.runId !== release.runId) return refuse('order_not_released', 'command is of another run');
  if (command.hostRunId === null || command.step === null)
    return refuse('order_not_released', 'command names no host run or no step');
  const order = target.orders.find((one) => one.step === command.step && one.verb === command.verb);
  return order ?? refuse('order_not_released', `no signed order ${command.step} with verb ${command.verb}`);
}
