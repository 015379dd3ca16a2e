import { t } from '../../messages/translate.state.svelte.ts';

export const calendarViews = ['month', 'week', 'timeline'] as const;
/** As the contract has them; repeated here so that the page ships no schema. */
export const laneKinds = ['group', 'site', 'host'] as const;

export const viewWord = (view: (typeof calendarViews)[number]): string =>
  view === 'timeline' ? t('timeline.view') : t(`calendar.${view}`);

/** What an address asks for when it is one of these; otherwise what is usual. */
export function pick<const T extends string>(values: readonly T[], asked: string, usual?: T): T {
  const found = values.find((value) => value === asked) ?? usual ?? values[0];
  if (found === undefined) throw new Error('there is nothing to choose from');
  return found;
}
