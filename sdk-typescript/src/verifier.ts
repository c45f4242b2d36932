/** `SessionVerifier`: decides whether a text is a valid session token, and identifies its user. */

import { compactVerify, errors } from "jose";

import { authenticated, type Expectations } from "./claims.js";
import { TokenRejected } from "./errors.js";
import type { Authenticated } from "./identity.js";
import { decodedObject } from "./json.js";
import type { KeySource } from "./keys.js";
import { serializedOrigin } from "./origins.js";
import { base64urlDecoded, opened } from "./token.js";

/** Refuses valid tokens whose session was revoked or whose user was deleted or banned; see `Revocations`. */
export interface RevocationCheck {
  /** Returns if nothing is known against the caller; else throws `TokenRejected` or `RevocationsUnavailable`. */
  check(caller: Authenticated): void;
}

export interface SessionVerifierOptions {
  /** What `iss` must equal. null: not checked, which is safe only when the key belongs to a single instance. */
  readonly issuer: string | null;
  /** Origins of which `azp` must be one, in any spelling that a browser understands. Empty: not checked. */
  readonly authorizedParties?: Iterable<string>;
  /** If set, `aud` must name one of these. Session tokens have no `aud` by default. */
  readonly audience?: string | readonly string[];
  /** Tolerated clock difference in seconds; 5 by default. */
  readonly leeway?: number;
  /** Checked last, for tokens that are valid otherwise. Without it a token is accepted until it expires. */
  readonly revocations?: RevocationCheck;
  /** Returns the time in seconds since 1970. */
  readonly now?: () => number;
}

/**
 * Verifies Clerk session tokens.
 *
 * Order: size and form, header, key, signature, then claims. So errors say nothing about the claims of a token without
 * a valid signature, and no key is fetched for a token that its header already rules out.
 *
 * Throws `TypeError`: a setting would check nothing, or refuse every token.
 */
export class SessionVerifier {
  readonly #keys: KeySource;
  readonly #expected: Expectations;
  readonly #revocations: RevocationCheck | undefined;
  readonly #now: () => number;

  constructor(keys: KeySource, options: SessionVerifierOptions) {
    const { issuer, authorizedParties = [], audience, leeway = 5 } = options;
    if (typeof authorizedParties === "string") {
      throw new TypeError("authorizedParties must be a list of origins, not one string");
    }
    if (issuer !== null && (typeof issuer !== "string" || issuer === "")) {
      throw new TypeError("issuer is empty; null is what checks no issuer");
    }
    const audiences = typeof audience === "string" ? [audience] : audience;
    if (audiences !== undefined && (audiences.length === 0 || !audiences.every((each) => each))) {
      throw new TypeError("audience is empty; leave it out to ask for no audience");
    }
    // Against not-a-number, no token would ever expire.
    if (!(leeway >= 0 && leeway < Infinity)) throw new TypeError("leeway is a number of seconds, 0 or more");
    this.#keys = keys;
    this.#expected = {
      issuer,
      authorizedParties: new Set([...authorizedParties].map(serializedOrigin)),
      audience: new Set(audiences ?? []),
      leeway,
    };
    this.#revocations = options.revocations;
    this.#now = options.now ?? (() => Date.now() / 1000);
  }

  get authorizedParties(): ReadonlySet<string> {
    return this.#expected.authorizedParties;
  }

  /**
   * The identity in this token.
   *
   * Throws `TokenRejected` (`reason` says why), `KeysUnavailable` or `RevocationsUnavailable` (not known), and nothing
   * else.
   */
  async verify(token: string): Promise<Authenticated> {
    const unverified = opened(token);
    const key = await this.#keys.find(unverified.keyId);
    try {
      await compactVerify(unverified.text, key, { algorithms: ["RS256"] });
    } catch (error) {
      // jose decodes the payload after it has verified the signature.
      throw error instanceof errors.JWSSignatureVerificationFailed
        ? new TokenRejected("token-invalid-signature", "The token signature is not valid.")
        : malformed();
    }
    const payload = base64urlDecoded(unverified.payload);
    const claims = payload && decodedObject(payload);
    if (claims === undefined) throw malformed();
    const caller = authenticated(claims, this.#expected, this.#now());
    this.#revocations?.check(caller);
    return caller;
  }
}

function malformed(): TokenRejected {
  return new TokenRejected("token-malformed", "The token payload is not base64url-encoded JSON.");
}
