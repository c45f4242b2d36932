/** The one decision about a request: which of its credentials counts, and who sends it. */

import { credentialsIn } from "./credentials.js";
import { OriginRefused, TokenRejected } from "./errors.js";
import type { Authenticated } from "./identity.js";
import { decodedObject } from "./json.js";
import { base64urlDecoded, opened } from "./token.js";
import type { SessionVerifier } from "./verifier.js";

/** Session cookies that are verified; browsers have two, or a few when domains and paths differ. */
const COOKIES_AT_MOST = 8;
const SHORTEST_TOKEN = 342; // the signature of the smallest key that is accepted, in base64url

export interface RequestVerifierOptions {
  /** Of this Clerk instance, see `cookieSuffixOf`; left out, `__session` alone is read. */
  readonly cookieSuffix?: string | undefined;
  /** false reads the Authorization header alone. */
  readonly cookies?: boolean;
}

/**
 * Tells who sends a request, by its raw headers.
 *
 * A Bearer token is the only credential that counts when there is one. Without it, the session cookies do: of several,
 * the one that verifies, the newest `iat` first. Browsers send cookies unasked, also for pages of others: so they count
 * only with authorized parties, and when the request names an Origin, that must be one of them, whatever the method.
 *
 * Throws `TypeError`: cookies without authorized parties.
 */
export class RequestVerifier {
  readonly #verifier: SessionVerifier;
  readonly #cookieSuffix: string | undefined;
  readonly #cookies: boolean;

  constructor(verifier: SessionVerifier, options: RequestVerifierOptions = {}) {
    this.#verifier = verifier;
    this.#cookieSuffix = options.cookieSuffix;
    this.#cookies = options.cookies ?? true;
    if (this.#cookies && verifier.authorizedParties.size === 0) {
      throw new TypeError(
        "Reading the session cookie needs a verifier with authorizedParties; set them, or pass cookies: false to " +
          "read the Authorization header alone.",
      );
    }
  }

  /**
   * Who sends a request with these headers (names and values in turn); undefined when it carries no credential.
   *
   * With `ignoreBadCookies`, cookies of which none verifies count as no credential: they may just be out of date.
   * Throws what `SessionVerifier.verify` throws, and `OriginRefused`: a cookie is valid, and the request is made for a
   * page of another origin.
   */
  async verify(
    rawHeaders: readonly string[],
    options: { readonly ignoreBadCookies?: boolean } = {},
  ): Promise<Authenticated | undefined> {
    const found = credentialsIn(rawHeaders, this.#cookieSuffix);
    if (found.bearer !== undefined) return this.#verifier.verify(found.bearer);
    if (!this.#cookies || found.cookies.length === 0) return undefined;
    let caller: Authenticated;
    try {
      caller = await this.#firstThatVerifies(found.cookies);
    } catch (error) {
      if (options.ignoreBadCookies && error instanceof TokenRejected) return undefined;
      throw error;
    }
    if (!found.origins.every((origin) => this.#verifier.authorizedParties.has(origin))) throw new OriginRefused();
    return caller;
  }

  async #firstThatVerifies(tokens: readonly string[]): Promise<Authenticated> {
    let refusal: TokenRejected | undefined;
    let fault: unknown;
    for (const token of newestFirst(tokens)) {
      try {
        return await this.#verifier.verify(token);
      } catch (error) {
        if (error instanceof TokenRejected) refusal ??= error;
        else fault = error;
      }
    }
    throw fault ?? refusal;
  }
}

function newestFirst(tokens: readonly string[]): readonly string[] {
  if (tokens.length === 1) return tokens;
  const dated = tokens.map((token) => [issuedAt(token), token] as const);
  return dated
    .sort(([one], [other]) => (one === other ? 0 : other - one))
    .slice(0, COOKIES_AT_MOST)
    .map(([, token]) => token);
}

/** When the token says that it was issued: unproven, so it decides only which one is verified first. */
function issuedAt(token: string): number {
  if (token.length < SHORTEST_TOKEN) return -Infinity;
  try {
    const payload = base64urlDecoded(opened(token).payload);
    const iat = payload && decodedObject(payload)?.["iat"];
    return typeof iat === "number" ? iat : iat === true ? 1 : iat === false ? 0 : -Infinity;
  } catch (error) {
    if (error instanceof TokenRejected) return -Infinity;
    throw error;
  }
}
