/** Depth past which a document is refused: nothing that ATLAS signs is nested this far. */
const maxDepth = 32;

/** A document that is not exactly one well-formed JSON text in UTF-8 without duplicate members. */
export class MalformedJson extends Error {}

interface Frame {
  readonly keys: Set<string> | null;
  /** In an object: whether the next string is a member name. */
  expectKey: boolean;
}

const token = /[\s]+|"(?:[^"\\\u0000-\u001f]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gy;

function noteKey(frame: Frame | undefined, text: string): void {
  if (frame?.keys == null || !frame.expectKey) return;
  const key = JSON.parse(text) as string;
  if (frame.keys.has(key)) throw new MalformedJson(`duplicate member ${text.slice(0, 60)}`);
  if (key === '__proto__') throw new MalformedJson('member name __proto__');
  frame.keys.add(key);
  frame.expectKey = false;
}

function refuseAmbiguity(text: string): void {
  const stack: Frame[] = [];
  token.lastIndex = 0;
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const lexeme = match[0];
    const frame = stack.at(-1);
    if (lexeme === '{') stack.push({ keys: new Set(), expectKey: true });
    else if (lexeme === '[') stack.push({ keys: null, expectKey: false });
    else if (lexeme === '}' || lexeme === ']') stack.pop();
    else if (lexeme === ',' && frame) frame.expectKey = true;
    else if (lexeme.startsWith('"')) noteKey(frame, lexeme);
    if (stack.length > maxDepth) throw new MalformedJson('nested too deeply');
  }
}

/**
 * Parses bytes that were verified before. Stricter than JSON.parse: the bytes must be valid UTF-8 without a byte
 * order mark, no member may appear twice, `__proto__` is no member name, strings hold no lone surrogate.
 * @throws MalformedJson
 */
export function parseStrictJson(bytes: Uint8Array): unknown {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text) as unknown;
  } catch (cause) {
    throw new MalformedJson('not JSON in UTF-8', { cause });
  }
  refuseAmbiguity(text);
  // Only an escape can smuggle a lone surrogate: the fatal decoder refused every other way.
  if (text.includes('\\u') && hasLoneSurrogate(value)) throw new MalformedJson('lone surrogate');
  return value;
}

function hasLoneSurrogate(value: unknown): boolean {
  if (typeof value === 'string') return !value.isWellFormed();
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([key, member]) => !key.isWellFormed() || hasLoneSurrogate(member));
}
