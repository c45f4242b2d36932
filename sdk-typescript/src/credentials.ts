/** Find the session tokens in a request's headers. */

import { createHash } from "node:crypto";

const BEARER = /^[ \t]*bearer +([^ \t\n\r\f\v][^]*)$/i;
const SESSION_COOKIE = "__session";

/** The credentials in a request, not verified: `cookies` are distinct values, those of this Clerk instance first. */
export interface Credentials {
  readonly bearer: string | undefined;
  readonly cookies: readonly string[];
  readonly origins: readonly string[];
}

/**
 * The credentials in these raw headers: names and values in turn, as in Node's `request.rawHeaders`.
 *
 * Several Bearer headers are joined into one text, which no verifier accepts: which of two tokens counts must not
 * depend on a proxy. `__session_<suffix>` belongs to one Clerk instance; `__session` is shared by all on a domain.
 */
export function credentialsIn(rawHeaders: readonly string[], cookieSuffix?: string): Credentials {
  const bearer: string[] = [];
  const ours: string[] = [];
  const shared: string[] = [];
  const origins: string[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const value = rawHeaders[index + 1]!;
    switch (rawHeaders[index]!.toLowerCase()) {
      case "authorization": {
        const token = BEARER.exec(value)?.[1];
        if (token !== undefined) bearer.push(stripped(token));
        break;
      }
      case "cookie": // HTTP/2 may split the header
        for (const pair of value.split(";")) {
          const equals = pair.indexOf("=");
          if (equals < 0) continue;
          const name = stripped(pair.slice(0, equals));
          const token = unquoted(stripped(pair.slice(equals + 1)));
          if (token === "") continue;
          if (cookieSuffix !== undefined && name === `${SESSION_COOKIE}_${cookieSuffix}`) ours.push(token);
          else if (name === SESSION_COOKIE) shared.push(token);
        }
        break;
      case "origin":
        origins.push(value);
    }
  }
  return {
    bearer: bearer.length > 0 ? bearer.join(", ") : undefined,
    cookies: [...new Set([...ours, ...shared])],
    origins,
  };
}

/** The suffix of this Clerk instance's cookies (@clerk/shared, keys.ts: getCookieSuffix). */
export function cookieSuffixOf(publishableKey: string): string {
  return createHash("sha1").update(publishableKey).digest("base64url").slice(0, 8);
}

// Not one regular expression for both ends: it would take quadratic time for many blanks.
function stripped(text: string): string {
  let end = text.length;
  let start = 0;
  while (start < end && (text[start] === " " || text[start] === "\t")) start += 1;
  while (end > start && (text[end - 1] === " " || text[end - 1] === "\t")) end -= 1;
  return text.slice(start, end);
}

function unquoted(text: string): string {
  let end = text.length;
  let start = 0;
  while (start < end && text[start] === '"') start += 1;
  while (end > start && text[end - 1] === '"') end -= 1;
  return text.slice(start, end);
}
