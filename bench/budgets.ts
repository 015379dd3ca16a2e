import { readFileSync } from 'node:fs';
import path from 'node:path';

type Budgets = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** Names of the budgets of a scenario that were not kept, with the figures. */
export function brokenBudgets(scenario: string, figures: Readonly<Record<string, number>>): string[] {
  const file = path.join(import.meta.dirname, 'budgets.json');
  const limits = (JSON.parse(readFileSync(file, 'utf8')) as Budgets)[scenario] ?? {};
  return Object.entries(limits).flatMap(([name, limit]) => {
    const value = figures[name.replace(/M(in|ax)$/, '')] ?? Number.NaN;
    return (name.endsWith('Min') ? value >= limit : value <= limit)
      ? []
      : [`${name}: ${value}, limit ${limit}`];
  });
}
