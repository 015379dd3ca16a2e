import type { Linter } from 'eslint';
import svelte from 'eslint-plugin-svelte';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

const typescriptFiles = ['**/*.ts', '**/*.mts'];
const testFiles = ['**/*.test.ts', 'test/**/*.ts'];
const configFiles = ['*.config.ts', '**/*.config.ts', '**/*.config.js'];

/** Limits and habits of the house that need no types; they hold in components too. */
const houseRules: Linter.RulesRecord = {
  'max-lines': ['error', { max: 400 }],
  'max-lines-per-function': ['error', { max: 70 }],
  'max-depth': ['error', 3],
  'max-params': ['error', 3],
  'no-console': 'error',
  'no-debugger': 'error',
  eqeqeq: ['error', 'always', { null: 'ignore' }],
  'no-var': 'error',
  'prefer-const': 'error',
  'no-eval': 'error',
  'no-implied-eval': 'error',
  'no-new-func': 'error',
  'no-restricted-syntax': [
    'error',
    { selector: 'ExportDefaultDeclaration', message: 'Named exports only.' },
    { selector: 'ExportAllDeclaration', message: 'No barrels: import from the file that owns the thing.' },
  ],
  'no-restricted-properties': [
    'error',
    { object: 'process', property: 'env', message: 'Only server/src/config.ts reads the environment.' },
  ],
  'no-restricted-imports': [
    'error',
    {
      paths: [
        {
          name: 'node:process',
          importNames: ['env'],
          message: 'Only server/src/config.ts reads the environment.',
        },
      ],
    },
  ],
};

/** Rules that read types: a lost promise here is a lost command on somebody's server. */
const typedRules: Linter.RulesRecord = {
  '@typescript-eslint/no-floating-promises': 'error',
  '@typescript-eslint/no-misused-promises': 'error',
  '@typescript-eslint/await-thenable': 'error',
  '@typescript-eslint/only-throw-error': 'error',
  '@typescript-eslint/return-await': ['error', 'in-try-catch'],
  '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
  '@typescript-eslint/no-unnecessary-type-assertion': 'error',
  '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'separate-type-imports' }],
  '@typescript-eslint/no-unused-vars': [
    'error',
    { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrorsIgnorePattern: '^_' },
  ],
};

export default defineConfig(
  {
    ignores: ['node_modules/', '.atlas/', '**/dist/', '**/*.gen.ts', 'test-results/', 'playwright-report/'],
  },
  {
    files: typescriptFiles,
    extends: [tseslint.configs.recommended],
    languageOptions: {
      parserOptions: {
        projectService: true,
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: { ...houseRules, ...typedRules },
  },
  {
    files: ['web/**/*.svelte', 'web/**/*.svelte.ts'],
    extends: [tseslint.configs.recommended, svelte.configs.recommended],
    languageOptions: { parserOptions: { parser: tseslint.parser } },
    rules: {
      ...houseRules,
      'max-lines': ['error', { max: 250 }],
      // A component's script counts as one function in the parser's eyes; its limit is max-lines.
      'max-lines-per-function': 'off',
      // Properties and bound state are declared with `let` and assigned by Svelte.
      'prefer-const': 'off',
      'svelte/prefer-const': 'error',
      // The app has its own typed router (paths.ts): there is no SvelteKit resolve() to call.
      'svelte/no-navigation-without-resolve': 'off',
      'no-undef': 'off',
    },
  },
  {
    // These run on a developer's or an operator's machine and take their settings from it.
    files: ['server/src/config.ts', '{cli,stack,lab,agent,test,bench}/**/*.ts', ...configFiles],
    rules: { 'no-restricted-properties': 'off', 'no-restricted-imports': 'off' },
  },
  {
    files: ['{lab,bench,test}/**/*.ts'],
    rules: { 'no-console': 'off' },
  },
  { files: testFiles, rules: { 'max-lines-per-function': 'off' } },
  {
    // They stand where a module of somebody else stood, so they have its shape.
    files: ['test/simulation/os/{crypto,pg}.ts'],
    rules: { 'no-restricted-syntax': 'off' },
  },
  {
    files: configFiles,
    extends: [tseslint.configs.disableTypeChecked],
    rules: { 'no-restricted-syntax': 'off' },
  },
);
