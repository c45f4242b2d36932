/** A strict JSON decoder for untrusted input. */

export type JsonObject = { readonly [name: string]: unknown };

// Far more than real documents have, far less than the recursion limit of other decoders.
const DEEPEST = 64;
const LONGEST_INTEGER = 4300;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/y;
const PLAIN_TEXT = /[^"\\\u0000-\u001f]*/y;
const ESCAPES: Record<string, string> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const floats = new WeakMap<object, Set<string | number>>();

/** Whether this member was written as a whole number: `2`, and neither `2.0` nor `2e0`. */
export function isInteger(container: object, name: string | number): boolean {
  const value: unknown = (container as Record<string | number, unknown>)[name];
  return typeof value === "number" && !floats.get(container)?.has(name);
}

/**
 * The JSON object in `data`, or undefined if it is anything else.
 *
 * Besides bad syntax it refuses text that is not UTF-8 (RFC 8259 section 8.1), repeated member names (RFC 7519
 * section 4: readers differ in which they use), numbers that overflow, lone surrogates, and more than `deepest` levels
 * of nesting. Objects have no prototype.
 */
export function decodedObject(data: Uint8Array, deepest = DEEPEST): JsonObject | undefined {
  try {
    const text = UTF8.decode(data);
    const reader = new Reader(text, deepest);
    const value = reader.document();
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    if (reader.deepest >= deepest && (text.match(/[[{]/g)?.length ?? 0) > deepest) return undefined;
    return value as JsonObject;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}

class Reader {
  deepest = 0;
  private at = 0;

  constructor(
    private readonly text: string,
    private readonly limit: number,
  ) {}

  document(): unknown {
    const value = this.value(0, undefined);
    this.blanks();
    if (this.at !== this.text.length) throw new SyntaxError();
    return value;
  }

  private value(depth: number, floated: (() => void) | undefined): unknown {
    // Twice the limit is refused in any case, and bounds the recursion.
    if (depth > 2 * this.limit) throw new SyntaxError();
    this.deepest = Math.max(this.deepest, depth);
    this.blanks();
    const first = this.text[this.at];
    if (first === "{") return this.object(depth);
    if (first === "[") return this.array(depth);
    if (first === '"') return this.string();
    for (const [word, value] of [
      ["true", true],
      ["false", false],
      ["null", null],
    ] as const) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    return this.number(floated);
  }

  private object(depth: number): JsonObject {
    const members: Record<string, unknown> = Object.create(null);
    this.at += 1;
    if (this.taken("}")) return members;
    do {
      this.blanks();
      if (this.text[this.at] !== '"') throw new SyntaxError();
      const name = this.string();
      if (name in members) throw new SyntaxError();
      if (!this.taken(":")) throw new SyntaxError();
      members[name] = this.value(depth + 1, () => noteFloat(members, name));
    } while (this.taken(","));
    if (!this.taken("}")) throw new SyntaxError();
    return members;
  }

  private array(depth: number): unknown[] {
    const entries: unknown[] = [];
    this.at += 1;
    if (this.taken("]")) return entries;
    do {
      entries.push(this.value(depth + 1, () => noteFloat(entries, entries.length)));
    } while (this.taken(","));
    if (!this.taken("]")) throw new SyntaxError();
    return entries;
  }

  private string(): string {
    let text = "";
    this.at += 1;
    for (;;) {
      PLAIN_TEXT.lastIndex = this.at;
      text += PLAIN_TEXT.exec(this.text)![0];
      this.at = PLAIN_TEXT.lastIndex;
      const next = this.text[this.at];
      this.at += 1;
      if (next === '"') break;
      if (next !== "\\") throw new SyntaxError();
      const escape = this.text[this.at] ?? "";
      this.at += 1;
      if (escape === "u") {
        const digits = this.text.slice(this.at, this.at + 4);
        if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw new SyntaxError();
        text += String.fromCharCode(parseInt(digits, 16));
        this.at += 4;
      } else {
        const character = ESCAPES[escape];
        if (character === undefined) throw new SyntaxError();
        text += character;
      }
    }
    if (/\p{Surrogate}/u.test(text)) throw new SyntaxError();
    return text;
  }

  private number(floated: (() => void) | undefined): number {
    NUMBER.lastIndex = this.at;
    const found = NUMBER.exec(this.text);
    if (found === null) throw new SyntaxError();
    this.at = NUMBER.lastIndex;
    const value = Number(found[0]);
    if (found[1] === undefined && found[2] === undefined) {
      if (found[0].replace("-", "").length > LONGEST_INTEGER) throw new SyntaxError();
      return Math.min(Math.max(value, -Number.MAX_VALUE), Number.MAX_VALUE);
    }
    if (!Number.isFinite(value)) throw new SyntaxError();
    floated?.();
    return value;
  }

  private taken(character: string): boolean {
    this.blanks();
    if (this.text[this.at] !== character) return false;
    this.at += 1;
    return true;
  }

  private blanks(): void {
    while (" \t\n\r".includes(this.text[this.at] ?? "x")) this.at += 1;
  }
}

function noteFloat(container: object, name: string | number): void {
  const names = floats.get(container) ?? new Set();
  floats.set(container, names.add(name));
}
