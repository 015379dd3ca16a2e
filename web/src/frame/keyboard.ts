import { location } from '../location.state.svelte.ts';
import { preferences } from '../preferences.state.svelte.ts';
import { session } from '../session.state.svelte.ts';
import { overlays } from './overlays.state.svelte.ts';
import { sections } from './sections.ts';

const secondKeyWithinMs = 1200;

/** True while the reader writes or an overlay has the keyboard: single keys are then text, not orders. */
export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target;
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.closest('[role="dialog"],[role="menu"]') !== null) return true;
  if (target instanceof HTMLInputElement) return target.type !== 'checkbox' && target.type !== 'radio';
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}

/** Keys of the frame: Ctrl+K, `?`, `/`, `g` and a letter. */
export function listenToKeys(tenantId: () => string): () => void {
  let awaitingUntil = 0;
  const press = (event: KeyboardEvent): void => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
      event.preventDefault();
      overlays.palette = true;
      return;
    }
    if (!preferences.shortcuts || isTyping(event)) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (Date.now() < awaitingUntil) {
      awaitingUntil = 0;
      goTo(event, tenantId());
    } else if (event.key === 'g') awaitingUntil = Date.now() + secondKeyWithinMs;
    else if (event.key === '?') overlays.shortcuts = true;
    else if (event.key === '/') focusSearch(event);
  };
  window.addEventListener('keydown', press);
  return () => window.removeEventListener('keydown', press);
}

function goTo(event: KeyboardEvent, tenantId: string): void {
  const section = sections.find((entry) => entry.letter === event.key);
  if (section === undefined || !session.can(tenantId, section.permission)) return;
  event.preventDefault();
  location.go(section.href(tenantId));
}

/** `/` goes to the list's own search where there is one, to the palette otherwise. */
function focusSearch(event: KeyboardEvent): void {
  event.preventDefault();
  const field = document.querySelector<HTMLInputElement>('main input[type="search"]');
  if (field === null) overlays.palette = true;
  else field.focus();
}
