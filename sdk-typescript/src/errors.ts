/** The errors of verification: a refusal (`TokenRejected`, `OriginRefused`) or a failure (`…Unavailable`). */

/** Why a token was refused. The values are stable: alert, count and branch on them. */
export type Reason =
  | "token-malformed"
  | "token-too-large"
  | "token-invalid-algorithm"
  | "unsupported-header"
  | "wrong-token-type"
  | "unknown-key"
  | "token-invalid-signature"
  | "claim-missing"
  | "claim-invalid"
  | "token-expired"
  | "token-not-active-yet"
  | "token-issued-in-the-future"
  | "issuer-mismatch"
  | "authorized-party-mismatch"
  | "audience-mismatch"
  | "session-pending"
  | "session-revoked"
  | "user-deleted"
  | "user-banned";

/**
 * The token is not a valid session token, or was revoked: answer 401 (403 for `user-banned`).
 *
 * `description` is one ASCII sentence made of constants only, so it can be the `error_description` of WWW-Authenticate
 * (RFC 6750 section 3). It never contains the token.
 */
export class TokenRejected extends Error {
  override readonly name = "TokenRejected";
  constructor(
    readonly reason: Reason,
    readonly description: string,
  ) {
    super(`${reason}: ${description}`);
  }
}

/** The session cookie was sent by a page of another origin: answer 403. */
export class OriginRefused extends Error {
  override readonly name = "OriginRefused";
}

/** The token cannot be verified because the signing keys are unavailable: answer 503, not 401. */
export class KeysUnavailable extends Error {
  override readonly name = "KeysUnavailable";
}

/** The token is valid, but whether it was revoked is not known: answer 503, not 401. */
export class RevocationsUnavailable extends Error {
  override readonly name = "RevocationsUnavailable";
}
