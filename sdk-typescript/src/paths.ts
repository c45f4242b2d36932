/** Find the rule for a request by the path that the application routes by, and refuse ambiguous paths. */

import { checkedRule, type Rule } from "./access.js";
import { PATH_AMBIGUOUS, Refused } from "./problems.js";

// Unicode's blanks; JavaScript's `\s` has one more.
const BLANK = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
// What some programs resolve, cut or decode and others take literally: control characters and line ends,
// bytes that are not UTF-8 (decoded to U+FFFD), backslashes, escapes that are left after decoding, empty segments, and
// dot segments, also with parameters (`..;x`) or spaces.
const AMBIGUOUS = [
  /[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd\\]|\p{Surrogate}/u,
  /%(?:[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})/,
  new RegExp(`/(?:/|${BLANK}*\\.{1,2}${BLANK}*(?:[;?#/]|$))`),
];
const BROKEN_ESCAPE = /%(?![0-9A-Fa-f]{2})/;
// Characters that need no escape (RFC 3986 section 3.3): an escaped one may be an attempt at two readings.
const NEEDLESS_ESCAPE = /%(?:2[146-9a-e]|3[0-9abd]|4[0-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])/gi;
/** Stands for an encoded slash that is read as part of a segment: a private-use character, which no rule contains. */
const NO_SLASH = "\ue000";
/** Stands for an escape that is not decoded; no rule contains it either. */
const NOT_DECODED = "\ue001";

/** Whether programs read this decoded path, or a normalised form of it, in different ways. */
export function isAmbiguous(path: string): boolean {
  return isAmbiguousAs(path, loosely(path));
}

/** `isAmbiguous` where `loosely(path)` is known. */
function isAmbiguousAs(path: string, loose: readonly string[]): boolean {
  const readings = new Set([path, ...loose]);
  return !path.startsWith("/") || AMBIGUOUS.some((sign) => [...readings].some((reading) => sign.test(reading)));
}

/**
 * Which rule applies to a path: the exact one, else the longest prefix (`/admin/*`), else `default`.
 *
 * Paths are decoded and relative to where the middleware is mounted. A trailing slash is ignored; `/admin/*`
 * covers `/admin` itself.
 *
 * Throws `TypeError`: a path is ambiguous or a template (`/users/:id`), has a `*` elsewhere than at the end of `/*`, or
 * has two rules; or a rule is invalid.
 */
export class Rules {
  readonly #rules: Table;
  // For programs that ignore case, Unicode form, parameters and what looks like a query.
  readonly #looseRules: Table;

  constructor(rules: { readonly [path: string]: Rule }, defaultRule: Rule) {
    const checkedDefault = checkedRule(defaultRule);
    this.#rules = new Table(checkedDefault);
    this.#looseRules = new Table(checkedDefault);
    for (const [path, rule] of Object.entries(rules)) {
      const prefix = path.endsWith("/*") ? path.slice(0, -2) : path;
      if (isAmbiguous(path) || /[*{}<>;?#]|\/:/.test(prefix)) {
        throw new TypeError(`A rule's path is like /reports or /reports/*, decoded, no template; not ${path}.`);
      }
      const checked = checkedRule(rule);
      this.#rules.add(prefix, checked, prefix !== path);
      for (const loose of loosely(prefix)) this.#looseRules.add(loose, checked, prefix !== path);
    }
  }

  /**
   * The rule for a request with this target (path and query, as sent).
   *
   * `routesDecoded` says whether the framework decodes a path before it routes (Fastify) or routes by what was sent
   * (Express). Throws `Refused` with 400: the path is ambiguous, or different rules apply to its readings.
   */
  of(target: string, options: { readonly routesDecoded: boolean }): Rule {
    const sent = target.split("?", 1)[0] || "/";
    // `loosely` costs most of all this: once for each reading.
    const readings = readingsOf(sent)?.map((path) => [path, loosely(path)] as const);
    if (
      readings === undefined ||
      readings.some((reading) => isAmbiguousAs(...reading)) ||
      readings.some(([path]) => {
        const slashed = path.replaceAll(NO_SLASH, "/"); // another than the first if the client sent NO_SLASH itself
        return slashed !== path && slashed !== readings[0]![0] && isAmbiguous(slashed);
      })
    )
      throw new Refused(PATH_AMBIGUOUS);
    const rule = this.#rules.find(readings[0]![0]);
    const isOther = (loose: string): boolean => !same(this.#looseRules.find(loose), rule);
    if (readings.some(([, loose]) => loose.some(isOther))) throw new Refused(PATH_AMBIGUOUS);
    const marked = sent.replace(NEEDLESS_ESCAPE, utf8AsLatin1(NOT_DECODED));
    if (!options.routesDecoded && marked !== sent) {
      const [undecoded] = readingsOf(marked)!;
      if (loosely(undecoded!).some(isOther)) throw new Refused(PATH_AMBIGUOUS);
    }
    return rule;
  }
}

class Table {
  readonly #exact = new Map<string, Rule>();
  readonly #under = new Map<string, Rule>();
  #depth = 0;

  constructor(private readonly defaultRule: Rule) {}

  add(path: string, rule: Rule, under: boolean): void {
    const table = under ? this.#under : this.#exact;
    const known = table.get(bare(path)) ?? rule;
    if (!same(known, rule)) throw new TypeError(`There are two rules for ${path}${under ? "/*" : ""}.`);
    table.set(bare(path), known);
    if (under) this.#depth = Math.max(this.#depth, bare(path).split("/").length - 1);
  }

  find(path: string): Rule {
    const whole = bare(path);
    const exact = this.#exact.get(whole);
    if (exact !== undefined) return exact;
    // Only as deep as the rules: a path may have thousands of segments.
    const first = whole.split("/", this.#depth + 1);
    for (; first.length > 1; first.pop()) {
      const rule = this.#under.get(first.join("/"));
      if (rule !== undefined) return rule;
    }
    return this.#under.get("/") ?? this.defaultRule;
  }
}

function same(one: Rule, other: Rule): boolean {
  return one === other || canonical(one) === canonical(other);
}

function canonical(rule: Rule): string {
  if (typeof rule === "string") return rule;
  const { organization = false, role, permission, inPerson = false } = rule;
  return JSON.stringify([organization, role, permission, inPerson]);
}

function bare(path: string): string {
  return (path.endsWith("/") ? path.slice(0, -1) : path) || "/";
}

function loosely(path: string): string[] {
  // Unicode case folding: character by character, by way of capitals; of ASCII, all at once.
  const folded = path
    .normalize("NFKC")
    .replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
    .replace(/[^\x00-\x7fı]/gu, (character) => character.toLowerCase().toUpperCase().toLowerCase());
  // What programs leave out that read parameters in each segment, or take a semicolon for the begin of a query.
  const cut = folded.replace(/[?#][^]*|;[^/?#]*/g, "");
  return folded.includes(";") ? [cut, folded.replace(/[?#;][^]*/, "")] : [cut];
}

/** The path that the client sent, decoded; also with encoded slashes as parts of segments. undefined: not decodable. */
function readingsOf(sent: string): string[] | undefined {
  if (BROKEN_ESCAPE.test(sent)) return undefined;
  // Node gives the bytes of the request line as characters; a rewritten URL may contain others.
  const bytes = /[^\x00-\xff]/.test(sent) ? utf8AsLatin1(sent) : sent;
  const kept = unescaped(bytes.replace(/%2f/gi, utf8AsLatin1(NO_SLASH)));
  return kept.includes(NO_SLASH) ? [unescaped(bytes), kept] : [kept];
}

function unescaped(bytes: string): string {
  const plain = bytes.replace(/%([0-9a-f]{2})/gi, (_, digits: string) => String.fromCharCode(parseInt(digits, 16)));
  return Buffer.from(plain, "latin1").toString("utf-8");
}

function utf8AsLatin1(text: string): string {
  return Buffer.from(text, "utf-8").toString("latin1");
}
