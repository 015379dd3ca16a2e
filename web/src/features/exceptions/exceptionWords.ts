import type { PatchException } from '#contract/exceptions.ts';
import { t } from '../../messages/translate.state.svelte.ts';

/** What is exempted, and where: "openssl 3.0.17-1 · on the server web-1". */
export function sayException({ update, place }: Pick<PatchException, 'update' | 'place'>): string {
  const what = update === null ? t('exceptions.allUpdates') : `${update.name} ${update.version}`;
  return `${what} · ${t(`exceptions.place.${place.kind}`, { name: place.name ?? '—' })}`;
}
