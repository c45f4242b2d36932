/** `RequestVerifier`: chooses the credential of a request and identifies the caller. */

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
  /** Of this Clerk instance, see `cookieSuffixOf`; without it only `__session` is read. */
  readonly cookieSuffix?: string | undefined;
  /** false reads only the Authorization header. */
  readonly cookies?: boolean;
}

/**
 * Identifies the caller of a request by its raw headers.
 *
 * If there is a Bearer token, nothing else is used. Without one, the session cookies are: of several, the first that is
 * valid, the newest `iat` first. Browsers send cookies by themselves, also for pages of other sites: so cookies need
 * authorized parties, and if the request has an Origin, that must be one of them, whatever the method.
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
          "read only the Authorization header.",
      );
    }
  }

  /**
   * The caller of a request with these headers (names and values in turn); undefined if it has no credential.
   *
   * With `ignoreBadCookies`, cookies of which none is valid count as no credential: they may be out of date.
   * Throws what `SessionVerifier.verify` throws, and `OriginRefused`: a cookie is valid, but the request was made by a
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

/** The `iat` of a token that is not verified yet; it decides only the order of verification. */
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
