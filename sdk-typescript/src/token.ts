/** The form and the header of a token, which are checked before its signature. */

import { TokenRejected } from "./errors.js";
import { decodedObject } from "./json.js";

// A session token must fit a 4 KiB cookie; one from a header may be longer because of custom claims, but no usual
// server takes a header line beyond this.
export const MAX_TOKEN_LENGTH = 16_384;

const COMPACT_JWS = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]*)$/;
const OPAQUE_PREFIXES = ["mt_", "m2m_", "oat_", "ak_"];

// Token classes that Clerk signs with one and the same key, told apart by the protected header `cat`
// (@clerk/backend, tokens/jwtCategories.ts). The second means: no class.
const SESSION_CATEGORIES: readonly unknown[] = ["cl_B7d4PD111AAA", "cl_I7d4PD111III"];

/** A well-formed RS256 token with the header of a session token; its signature is not checked yet. */
export interface UnverifiedToken {
  readonly text: string;
  readonly payload: string;
  readonly keyId: string | undefined;
}

/** Check form and header. Throws `TokenRejected`: not a compact JWS, or the header is not that of a session token. */
export function opened(token: string): UnverifiedToken {
  if (token.length > MAX_TOKEN_LENGTH) {
    throw new TokenRejected("token-too-large", `The token is longer than ${MAX_TOKEN_LENGTH} characters.`);
  }
  const form = COMPACT_JWS.exec(token);
  if (form === null) throw notAJws(token);
  const keyId = keyIdOfJudged(form[1]!);
  if (base64urlDecoded(form[3]!) === undefined) {
    throw new TokenRejected("token-malformed", "The token signature is not base64url.");
  }
  return { text: token, payload: form[2]!, keyId };
}

function keyIdOfJudged(segment: string): string | undefined {
  const bytes = base64urlDecoded(segment);
  const header = bytes && decodedObject(bytes);
  if (header === undefined) {
    throw new TokenRejected("token-malformed", "The token header is not base64url-encoded JSON.");
  }
  if (header["alg"] !== "RS256") {
    throw new TokenRejected("token-invalid-algorithm", "The token is not signed with RS256.");
  }
  if ("crit" in header || ("b64" in header && header["b64"] !== true)) {
    throw new TokenRejected("unsupported-header", "The token header asks for an extension (crit).");
  }
  // RFC 7519 section 7.2 step 8: the payload is then another token, not a set of claims.
  if (typeof header["cty"] === "string" && ["jwt", "application/jwt"].includes(header["cty"].toLowerCase())) {
    throw new TokenRejected("unsupported-header", "The token header says that it holds another token (cty).");
  }
  if ("typ" in header && header["typ"] !== "JWT") {
    throw new TokenRejected("wrong-token-type", "The token header typ is not JWT: not a session token.");
  }
  if ("cat" in header && !SESSION_CATEGORIES.includes(header["cat"])) {
    throw new TokenRejected("wrong-token-type", "The token header cat is that of a JWT template or a machine token.");
  }
  const keyId = header["kid"];
  if ("kid" in header && typeof keyId !== "string") {
    throw new TokenRejected("token-malformed", "The token header kid is not a string.");
  }
  return keyId as string | undefined;
}

/** The bytes of an unpadded base64url text, whose characters the caller has checked; undefined if not canonical. */
export function base64urlDecoded(segment: string): Uint8Array | undefined {
  const bytes = Buffer.from(segment, "base64url");
  // Unused bits that are not zero, and a superfluous character, get lost in decoding.
  return bytes.toString("base64url") === segment ? bytes : undefined;
}

function notAJws(text: string): TokenRejected {
  return OPAQUE_PREFIXES.some((prefix) => text.startsWith(prefix))
    ? new TokenRejected("wrong-token-type", "An API key, OAuth or machine token is not a session token.")
    : new TokenRejected("token-malformed", "The token is not three base64url parts joined by dots.");
}
