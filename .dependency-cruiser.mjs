// Who may import whom. One rule a fence; `from`/`to` are path patterns from the repository's root.
const product = '^(contract|server|web|agent|stack|lab|cli)/';
const tests = '\\.test\\.ts$';

/** A room that may look only at itself and at the rooms named. */
function room(name, neighbours) {
  const allowed = [name, ...neighbours].join('|');
  return {
    name: `${name}-looks-only-at-${neighbours.join('-').replace('/', '-') || 'itself'}`,
    severity: 'error',
    from: { path: `^${name}/`, pathNot: tests },
    to: { path: '^(contract|server|web|agent|stack|lab|cli|test|bench)/', pathNot: `^(${allowed})/` },
  };
}

export default {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'Pages that routes load on demand, and types, tie no knot when the program starts.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['dynamic-import', 'type-only'] } },
    },
    {
      name: 'no-orphans',
      severity: 'error',
      from: {
        orphan: true,
        pathNot: [
          tests,
          '^\\.',
          '\\.d\\.ts$',
          '\\.config\\.(ts|js|mjs)$',
          '\\.gen\\.ts$',
          '^contract/',
          '^test/',
          '^bench/',
        ],
      },
      to: {},
    },
    { name: 'no-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'contract-imports-typebox-only',
      comment: 'The wire runs anywhere: browser, agent, server.',
      severity: 'error',
      from: { path: '^contract/', pathNot: tests },
      to: { pathNot: ['^contract/', '^node_modules/typebox/'] },
    },
    room('server', ['contract']),
    room('web', ['contract']),
    room('agent', ['contract']),
    room('stack', []),
    room('lab', ['stack', 'contract']),
    // The demonstration installs the agent as a user does, so it builds the package a user gets.
    room('cli', ['contract', 'stack', 'lab', 'agent/packaging']),
    {
      name: 'agent-keeps-few-packages',
      comment:
        'The agent runs on customers’ servers: every package it carries is attack surface there. What builds its package stays here.',
      severity: 'error',
      from: { path: '^agent/', pathNot: [tests, '^agent/packaging/'] },
      to: { path: '^node_modules/', pathNot: '^node_modules/(ws|systeminformation|typebox|@types)/' },
    },
    {
      name: 'product-never-imports-tests',
      severity: 'error',
      from: { path: product, pathNot: tests },
      to: { path: '^(test|bench)/' },
    },
    {
      name: 'unit-tests-stay-beside-the-code',
      severity: 'error',
      from: { path: `${product}.*${tests}` },
      to: { path: '^bench/' },
    },
    {
      name: 'platform-knows-no-business',
      severity: 'error',
      from: { path: '^server/src/platform/', pathNot: tests },
      to: { path: '^server/src/(features|hosts|main)' },
    },
    {
      name: 'features-never-import-hosts-or-main',
      comment:
        'Machines are reached through a port that main.ts injects: its shape may be named, nothing else.',
      severity: 'error',
      from: { path: '^server/src/features/', pathNot: tests },
      to: { path: '^server/src/(hosts|main)', pathNot: '^server/src/hosts/port\\.ts$' },
    },
    {
      name: 'hosts-import-platform-only',
      comment: 'A type of a feature’s door is the port it implements; code is never shared that way.',
      severity: 'error',
      from: { path: '^server/src/hosts/', pathNot: tests },
      to: { path: '^server/src/(features|main)', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'hosts-see-only-the-door-of-a-feature',
      severity: 'error',
      from: { path: '^server/src/hosts/', pathNot: tests },
      to: { path: '^server/src/features/', pathNot: '\\.(module|port)\\.ts$' },
    },
    {
      name: 'features-meet-as-types',
      comment: 'main.ts hands the object over; a feature knows only its shape.',
      severity: 'error',
      from: { path: '^server/src/features/([^/]+)/', pathNot: tests },
      to: {
        path: '^server/src/features/',
        pathNot: '^server/src/features/$1/',
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'features-meet-at-the-door',
      severity: 'error',
      from: { path: '^server/src/features/([^/]+)/', pathNot: tests },
      to: {
        path: '^server/src/features/',
        pathNot: ['^server/src/features/$1/', '^server/src/features/[^/]+/[^/]+\\.module\\.ts$'],
      },
    },
    {
      name: 'configuration-is-handed-over',
      comment: 'Only main.ts reads the configuration; everybody else receives what they need.',
      severity: 'error',
      from: { path: '^server/src/', pathNot: ['^server/src/(main|config|gen)[^/]*\\.ts$', tests] },
      to: { path: '^server/src/config\\.ts$', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'nothing-shipped-needs-a-development-package',
      severity: 'error',
      from: { path: '^(contract|server|agent|stack|cli|lab)/', pathNot: [tests, '^agent/packaging/'] },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'packages-are-declared',
      severity: 'error',
      from: { path: product },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(dist|\\.atlas)/' },
    tsPreCompilationDeps: 'specify',
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'svelte', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.svelte', '.json', '.d.ts'],
    },
    cache: { folder: '.atlas/cache/dependency-cruiser', strategy: 'content' },
  },
};
