/** What the browser knows of a route: enough to call it and to tell whether the caller may. */
export interface RouteLine {
  readonly method: string;
  readonly path: string;
  readonly permission: string;
  readonly ifMatch?: boolean;
  readonly produces?: string;
}

export type QueryValue = string | number | boolean | null | undefined;

/** The address of a route with its parameters in place; throws when one is missing, which is our own mistake. */
export function buildUrl(
  line: RouteLine,
  params: Readonly<Record<string, string | number>> = {},
  query: Readonly<Record<string, QueryValue>> = {},
): string {
  const path = line.path.replace(/:([A-Za-z]+)|\*/g, (match, name: string | undefined) => {
    const value = params[name ?? '*'];
    if (value === undefined) throw new Error(`route ${line.path} needs ${match}`);
    const text = String(value);
    return name === undefined ? text.split('/').map(encodeURIComponent).join('/') : encodeURIComponent(text);
  });
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '') search.set(name, String(value));
  }
  const text = search.toString();
  return text === '' ? path : `${path}?${text}`;
}
