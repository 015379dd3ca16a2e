/** Where the reader is. The address bar is the truth; this mirrors it for the screens. */
class Location {
  pathname = $state(window.location.pathname);
  search = $state(window.location.search);
  /** Grows with each visit of a page, so that focus and title follow. */
  visits = $state(0);

  readonly query = $derived(new URLSearchParams(this.search));

  start(): () => void {
    const pop = (): void => this.#read(true);
    const click = (event: MouseEvent): void => this.#follow(event);
    window.addEventListener('popstate', pop);
    document.addEventListener('click', click);
    return () => {
      window.removeEventListener('popstate', pop);
      document.removeEventListener('click', click);
    };
  }

  /** Goes to an address of ours. `replace` leaves no step in the history. */
  go(href: string, options: { replace?: boolean } = {}): void {
    if (options.replace === true) window.history.replaceState(null, '', href);
    else window.history.pushState(null, '', href);
    this.#read(true);
    if (options.replace !== true) window.scrollTo(0, 0);
  }

  /** Writes view state into the address without leaving the page. */
  setQuery(query: URLSearchParams, options: { push?: boolean } = {}): void {
    const text = query.toString();
    const href = `${this.pathname}${text === '' ? '' : `?${text}`}`;
    if (options.push === true) window.history.pushState(null, '', href);
    else window.history.replaceState(null, '', href);
    this.#read(false);
  }

  #read(visit: boolean): void {
    const moved = this.pathname !== window.location.pathname;
    this.pathname = window.location.pathname;
    this.search = window.location.search;
    if (visit && moved) this.visits += 1;
  }

  #follow(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const target = event.target instanceof Element ? event.target.closest('a') : null;
    if (target === null || target.target !== '' || target.hasAttribute('download')) return;
    const url = new URL(target.href, window.location.href);
    if (url.origin !== window.location.origin || url.pathname.startsWith('/idp')) return;
    if (url.hash !== '' && url.pathname === window.location.pathname) return;
    event.preventDefault();
    this.go(url.pathname + url.search);
  }
}

export const location = new Location();
