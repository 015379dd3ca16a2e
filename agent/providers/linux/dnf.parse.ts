/** One update as `dnf check-update` lists it. */
export interface DnfUpdate {
  readonly name: string;
  readonly arch: string;
  readonly version: string;
  readonly repository: string;
}

const updateRow = /^(\S+)\.([a-z0-9_]+)\s+(\S+)\s+(\S+)$/;

/**
 * Reads `dnf -q check-update` (exit 100 means that there is something). Long names wrap onto the next line; what
 * follows "Obsoleting Packages" repeats packages and is left out.
 */
export function parseDnfCheckUpdate(text: string): DnfUpdate[] {
  const body = text.split(/^Obsoleting Packages/m)[0] ?? '';
  const joined = body.replace(/^(\S+\.[a-z0-9_]+)\n\s+(?=\S)/gm, '$1 ');
  return joined.split('\n').flatMap((line) => {
    const [, name, arch, version, repository] = updateRow.exec(line.trimEnd()) ?? [];
    if (name === undefined || arch === undefined || version === undefined || repository === undefined)
      return [];
    return [{ name, arch, version, repository }];
  });
}

/** Reads `dnf -q updateinfo list --updates --security` into `name-version.arch` keys. */
export function parseDnfSecurity(text: string): ReadonlySet<string> {
  const keys = text.split('\n').flatMap((line) => /^\S+\s+\S+\/Sec\.\s+(\S+)$/.exec(line.trim())?.[1] ?? []);
  return new Set(keys);
}

/** The key under which `updateinfo` speaks of an update. */
export function dnfSecurityKey(update: DnfUpdate): string {
  return `${update.name}-${update.version}.${update.arch}`;
}
