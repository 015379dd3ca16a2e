/** What the environment may tell `./atlas` itself; `docs/configuration.md` is made from it. */
const commandVariables = [
  ['ATLAS_STATE_DIR', 'path of a folder', '`.atlas`', 'Everything made at run time; `reset` removes it'],
  ['ATLAS_CACHE_DIR', 'path of a folder', '`.atlas/cache`', 'Downloads and builds that can be made again'],
  ['ATLAS_LANG', 'fr, en', 'LC_ALL, LC_MESSAGES, LANG', 'Language of the output; `--lang` wins over it'],
  [
    'ATLAS_SERVER',
    'URL',
    'this installation',
    'Server that the operator’s commands talk to; `--server` wins over it',
  ],
  ['ATLAS_TENANT', 'slug or id', 'the only one', 'Tenant that they act in; `--tenant` wins over it'],
  ['ATLAS_API_KEY', 'API key', '—', 'Used instead of a session; `--api-key-file` wins over it'],
  [
    'XDG_STATE_HOME',
    'path of a folder',
    '`~/.local/state`',
    'Below it, `atlas` keeps sessions with other servers',
  ],
  [
    'ATLAS_DATABASE_STANDBYS',
    'host:port, separated by commas',
    '—',
    'Standbys of the database of this installation ([standby.md](standby.md))',
  ],
  ['ATLAS_AGENTS_NAME', 'host name', '`atlas.internal`', 'Name of this machine that agents are told'],
] as const;

/** A section of `docs/configuration.md`. */
export function renderCommandVariables(): string {
  const rows = commandVariables.map(
    ([name, form, byDefault, meaning]) => `| \`${name}\` | ${form} | ${byDefault} | ${meaning} |`,
  );
  return [
    '',
    '## Command line',
    '',
    '| variable | form or unit | default | meaning |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}
