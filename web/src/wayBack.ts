/** Page of ours that somebody was on when they left for the identity provider. It holds no secret: an address, no token. */
const wantedKey = 'atlas.wanted';

/** The address as a path of this origin; anything else becomes the first page. */
export function ownPath(wanted: string | null, origin: string): string {
  if (wanted === null || !URL.canParse(wanted, origin)) return '/';
  const url = new URL(wanted, origin);
  const foreign = url.origin !== origin || /^\/(idp|api|ws)(\/|$)/.test(url.pathname);
  // Two slashes at the front would name another host.
  return foreign ? '/' : url.pathname.replace(/^\/+/, '/') + url.search;
}

/** Notes the present page. The identity provider knows one return address only, the first page. */
export function keepWayBack(): void {
  sessionStorage.setItem(wantedKey, window.location.pathname + window.location.search);
}

/** The page to go back to, once; null when nobody left one. */
export function takeWayBack(): string | null {
  const wanted = sessionStorage.getItem(wantedKey);
  sessionStorage.removeItem(wantedKey);
  return wanted === null ? null : ownPath(wanted, window.location.origin);
}
