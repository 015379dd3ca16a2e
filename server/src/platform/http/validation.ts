import { Compile } from 'typebox/compile';
import type { RouteSpec } from '#contract/route.ts';
import { uuidPattern, type TSchema } from '#contract/schema.ts';
import { AppError, type FieldError } from '../errors.ts';

/** Checks one part of a request; throws invalid_request that names each field at fault. */
export type PartCheck = (value: unknown) => unknown;

export interface RequestChecks {
  readonly params: PartCheck;
  readonly query: PartCheck;
  readonly body: PartCheck;
  readonly response: (value: unknown) => readonly FieldError[];
}

// A hostile body can break a rule in each of its items: nobody reads more than this.
const maxFields = 20;
const maxMessage = 500;

type Problems = ReturnType<ReturnType<typeof Compile>['Errors']>;

interface RuleParams {
  readonly requiredProperties?: readonly string[];
  readonly additionalProperties?: readonly string[];
  readonly allowedValues?: readonly unknown[];
  readonly pattern?: string;
}

/** The rule in words: where the library speaks of all members at once, or names a rule without saying it. */
function wordsOf(keyword: string, params: RuleParams, message: string): string {
  if (keyword === 'required') return 'is missing';
  if (keyword === 'additionalProperties') return 'is not known here';
  if (keyword === 'enum' && params.allowedValues !== undefined)
    return `must be one of ${params.allowedValues.map((value) => JSON.stringify(value)).join(', ')}`;
  if (keyword === 'pattern' && params.pattern === uuidPattern)
    return 'must be an identifier (a UUID in lower case)';
  return message;
}

function toFields(part: string, problems: Problems): FieldError[] {
  const fields = new Map<string, FieldError>();
  for (const { keyword, instancePath, params, message } of problems) {
    // The "false schema" of an unknown property says the same as additionalProperties, less clearly.
    if (keyword === 'boolean') continue;
    const ruleParams = params as RuleParams;
    const said = wordsOf(keyword, ruleParams, message).slice(0, maxMessage);
    for (const name of ruleParams.requiredProperties ?? ruleParams.additionalProperties ?? ['']) {
      const path = `/${part}${instancePath}${name === '' ? '' : `/${name}`}`;
      if (!fields.has(path)) fields.set(path, { path, rule: keyword.slice(0, 100), message: said });
    }
    if (fields.size >= maxFields) break;
  }
  return [...fields.values()].slice(0, maxFields);
}

/** URL text as the schema's type: only the exact decimal form of a safe integer, and true or false. */
function fromText(schema: unknown, value: unknown): unknown {
  if (typeof value !== 'string') return value;
  const { type } = schema as { type?: string };
  if (type === 'integer' && /^-?(0|[1-9]\d{0,15})$/.test(value)) return Number(value);
  if (type === 'boolean' && (value === 'true' || value === 'false')) return value === 'true';
  return value;
}

function readText(schema: TSchema, value: unknown): Record<string, unknown> {
  const { properties = {} } = schema as { properties?: Record<string, { type?: string; default?: unknown }> };
  const given = new Map(Object.entries((value ?? {}) as Record<string, unknown>));
  for (const [name, property] of Object.entries(properties)) {
    if (given.has(name)) {
      const single = given.get(name);
      // A list of one looks like a single value in a URL.
      given.set(
        name,
        property.type === 'array' && typeof single === 'string' ? [single] : fromText(property, single),
      );
    } else if (property.default !== undefined) given.set(name, property.default);
  }
  return Object.fromEntries(given);
}

function checkPart(part: string, schema: TSchema | undefined, fromUrl: boolean): PartCheck {
  if (schema === undefined) {
    return (value) => {
      const names = typeof value === 'object' && value !== null ? Object.keys(value) : [];
      if (names.length === 0 && (value === undefined || value === null || typeof value === 'object'))
        return undefined;
      const fields = names.slice(0, maxFields).map((name) => ({
        path: `/${part}/${name}`,
        rule: 'additionalProperties',
        message: 'this route takes no such member',
      }));
      throw new AppError('invalid_request', { fields });
    };
  }
  const compiled = Compile(schema);
  return (value) => {
    const read = fromUrl ? readText(schema, value) : value;
    if (compiled.Check(read)) return read;
    throw new AppError('invalid_request', { fields: toFields(part, compiled.Errors(read)) });
  };
}

/** Compiles the schemas of a route once, when the server starts. */
export function compileChecks(route: RouteSpec): RequestChecks {
  const response = Compile(route.response);
  return {
    params: checkPart('params', route.params, true),
    query: checkPart('query', route.query, true),
    body: checkPart('body', route.body, false),
    response: (value) => (response.Check(value) ? [] : toFields('response', response.Errors(value))),
  };
}
