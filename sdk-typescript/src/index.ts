/** Verify Clerk session tokens and identify the caller of a request. */

export { OPTIONAL, PUBLIC, REQUIRED, type Access, type Requirement, type Rule } from "./access.js";
export { cookieSuffixOf, credentialsIn, type Credentials } from "./credentials.js";
export { KeysUnavailable, OriginRefused, RevocationsUnavailable, TokenRejected, type Reason } from "./errors.js";
export type { AuthOptions } from "./guard.js";
export type { Authenticated, Organization } from "./identity.js";
export { JwksKeys, type JwksKeysOptions, type JwksState } from "./jwks.js";
export { PemKey, type KeySource } from "./keys.js";
export { serializedOrigin } from "./origins.js";
export { Rules } from "./paths.js";
export { problemBody, problemHeaders, problemOf, Refused, type Problem } from "./problems.js";
export { RequestVerifier, type RequestVerifierOptions } from "./requestVerifier.js";
export { SessionVerifier, type RevocationCheck, type SessionVerifierOptions } from "./verifier.js";
