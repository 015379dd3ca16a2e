import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { IntlMessageFormat } from 'intl-messageformat';
import { parse } from 'svelte/compiler';
import { describe, expect, it } from 'vitest';
import { auditActions } from '#contract/audit.ts';
import { errorCodes } from '#contract/errors.ts';
import { exceptionStates } from '#contract/exceptions.ts';
import { agentStates, hostStatuses } from '#contract/fleet.ts';
import { dependencyKinds } from '#contract/groups.ts';
import { noticeKinds, noticeMailStates, noticeStates } from '#contract/notices.ts';
import { orderRefusalCodes, placementCodes } from '#contract/plans.ts';
import { releaseStates } from '#contract/releases.ts';
import { outcomes, resultCodes } from '#contract/results.ts';
import { Decision, hostRunStates, runStates } from '#contract/runs.ts';
import { orderSteps } from '#contract/trust.ts';
import { missedRunPolicies, scheduleProblemCodes } from '#contract/windows.ts';
import { en } from './en.ts';
import { fr } from './fr.ts';

const source = path.resolve(import.meta.dirname, '..');
const components = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.svelte'),
);

type Tree = Record<string, unknown>;
/** Names of the values that a message takes. */
function valuesOf(text: string): string[] {
  const names = new Set<string>();
  const walk = (elements: readonly Tree[]): void => {
    for (const element of elements) {
      if (typeof element.value === 'string' && element.type !== 0) names.add(element.value);
      const options = element.options as Record<string, { value: Tree[] }> | undefined;
      if (options !== undefined) Object.values(options).forEach((option) => walk(option.value));
    }
  };
  walk(new IntlMessageFormat(text, 'fr').getAst() as unknown as Tree[]);
  return [...names].sort();
}

/** Text that a reader would see and no catalogue knows: in the markup, or in an attribute that is read aloud. */
function literalTexts(file: string): string[] {
  const tree = parse(readFileSync(path.join(source, file), 'utf8'), { modern: true });
  const found: string[] = [];
  const readAloud = ['title', 'aria-label', 'placeholder', 'alt', 'label', 'text', 'note'];
  const visit = (node: unknown, attribute: string | null): void => {
    if (Array.isArray(node)) return node.forEach((child) => visit(child, attribute));
    if (typeof node !== 'object' || node === null) return;
    const { type, name, data } = node as { type?: string; name?: string; data?: string };
    if (
      type === 'Text' &&
      (attribute === null || readAloud.includes(attribute)) &&
      /\p{L}{2}/u.test(data ?? '')
    )
      found.push(data ?? '');
    // `style:` values are for the browser, like an attribute that nobody hears.
    const next = type === 'Attribute' || type === 'StyleDirective' ? (name ?? '') : attribute;
    for (const [key, value] of Object.entries(node)) if (key !== 'parent') visit(value, next);
  };
  visit(tree.fragment, null);
  return found
    .map((text) => text.trim())
    .filter((text) => !/^(ATLAS|ATLAS ORCHESTRATOR™|UTC|Ctrl K|sha256|· ATLAS)$/.test(text));
}

describe('the catalogues', () => {
  it('have the same keys', () => {
    expect(Object.keys(en).sort()).toEqual(Object.keys(fr).sort());
  });

  it('take the same values in both languages', () => {
    const different = Object.entries(fr).filter(
      ([key, text]) => valuesOf(text).join() !== valuesOf(en[key as keyof typeof en]).join(),
    );
    expect(different.map(([key]) => key)).toEqual([]);
  });

  it('use the typographic apostrophe and no ordinary space before French double punctuation', () => {
    expect(
      Object.entries(fr)
        .filter(([, text]) => /'| [:;!?»]|« /.test(text))
        .map(([key]) => key),
    ).toEqual([]);
  });

  it('know every state, code and act of the contract', () => {
    const decisionCodes = (Decision as unknown as { properties: { code: { enum: string[] } } }).properties
      .code.enum;
    const wanted = [
      ...Object.keys(errorCodes).flatMap((code) => [`error.${code}`, `remedy.${code}`]),
      ...hostStatuses.map((state) => `host.${state}`),
      ...agentStates.map((state) => `agent.${state}`),
      ...runStates.map((state) => `run.${state}`),
      ...hostRunStates.map((state) => `hostRun.${state}`),
      ...releaseStates.map((state) => `release.${state}`),
      ...exceptionStates.map((state) => `exception.${state}`),
      ...orderSteps.map((step) => `step.${step}`),
      ...outcomes.map((outcome) => `stepState.${outcome}`),
      ...resultCodes.map((code) => `code.${code}`),
      ...noticeKinds.map((kind) => `notices.kind.${kind}`),
      ...noticeStates.map((state) => `notice.${state}`),
      ...noticeMailStates.map((state) => `noticeMail.${state}`),
      ...missedRunPolicies.flatMap((policy) => [`windows.missedRun.${policy}`, `followUps.policy.${policy}`]),
      ...auditActions.map((action) => `auditAction.${action}`),
      ...placementCodes.map((code) => `planPlacement.${code}`),
      ...orderRefusalCodes.map((code) => `planRefusal.${code}`),
      ...dependencyKinds.map((kind) => `dependencyKind.${kind}`),
      ...decisionCodes.map((code) => `decision.${code}`),
      ...scheduleProblemCodes.map((code) => `windowProblem.${code}`),
    ];
    expect(wanted.filter((key) => !(key in fr))).toEqual([]);
  });
});

describe('components', () => {
  it('hold no text of their own', () => {
    expect(components.length).toBeGreaterThan(40);
    expect(components.flatMap((file) => literalTexts(file).map((text) => `${file}: ${text}`))).toEqual([]);
  });
});
