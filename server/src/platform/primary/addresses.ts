/** How the database is reached; `others` are further addresses of the same one: standbys, or a former primary. */
export interface DatabaseAccess {
  readonly connectionString: string;
  readonly others?: readonly string[];
  readonly password?: string;
}

const form = /^(postgres(?:ql)?:\/\/(?:[^@/?#]*@)?)([^@/?#]*)([/?#].*)?$/;

/**
 * The addresses of a connection URI with several hosts (`postgres://role@one:5432,two:5433/atlas`, as libpq reads it),
 * each as a URI of its own. Throws when it is none.
 */
export function splitAddresses(uri: string): [string, ...string[]] {
  const [, front, hosts, rest = ''] = form.exec(uri) ?? [];
  if (front === undefined || hosts === undefined) throw new Error('a database is given as postgres://…');
  const [first = '', ...others] = hosts.split(',').map((host) => `${front}${host.trim()}${rest}`);
  return [first, ...others];
}

/** The connection strings of an access, in the order in which the setting gives them. */
export function addressesOf({ connectionString, others = [] }: DatabaseAccess): string[] {
  return [connectionString, ...others];
}

/** Host and port, as people are told. */
export function nameOf(connectionString: string): string {
  const { hostname, port } = new URL(connectionString);
  return `${hostname}:${port === '' ? '5432' : port}`;
}
