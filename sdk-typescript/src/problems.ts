/** The answers to refused callers, as RFC 9457 problem details. */

import { KeysUnavailable, OriginRefused, RevocationsUnavailable, TokenRejected, type Reason } from "./errors.js";

const TYPE_PREFIX = "urn:anomalyze:auth:problem:";

/** One answer. `status`, `code` and `title` are stable; `reason` is why a token was rejected. */
export interface Problem {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly reason?: Reason;
  readonly challenge?: string;
  readonly retryAfterSeconds?: number;
}

/** The caller is refused; the middleware sends the problem as the answer. */
export class Refused extends Error {
  override readonly name = "Refused";
  constructor(readonly problem: Problem) {
    super(problem.code);
  }
}

export function problemBody({ status, code, title, detail, reason }: Problem): string {
  return JSON.stringify({ type: TYPE_PREFIX + code, title, status, code, detail, reason });
}

export function problemHeaders(problem: Problem): Record<string, string> {
  return {
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    ...(problem.challenge === undefined ? {} : { "www-authenticate": problem.challenge }),
    ...(problem.retryAfterSeconds === undefined ? {} : { "retry-after": String(problem.retryAfterSeconds) }),
  };
}

export const PATH_AMBIGUOUS: Problem = {
  status: 400,
  code: "path-ambiguous",
  title: "Path ambiguous",
  detail: "Programs differ in how they read this path; send it without what makes it so.",
};
// RFC 6750 section 3: a request without any credentials gets no error code.
export const TOKEN_MISSING: Problem = {
  status: 401,
  code: "token-missing",
  title: "Session token missing",
  detail: "Send the session token as `Authorization: Bearer …` or in the cookie `__session`.",
  challenge: "Bearer",
};
const KEYS_UNAVAILABLE: Problem = {
  status: 503,
  code: "keys-unavailable",
  title: "Signing keys out of reach",
  detail: "No token can be verified at the moment.",
  retryAfterSeconds: 5,
};
const REVOCATIONS_UNAVAILABLE: Problem = {
  status: 503,
  code: "revocations-unavailable",
  title: "Revocations out of reach",
  detail: "It is not known at the moment whether the session was revoked.",
  retryAfterSeconds: 5,
};
export const FORBIDDEN = {
  "organization-required": forbidden(
    "organization-required",
    "Organization required",
    "This needs another active organization.",
  ),
  "role-required": forbidden("role-required", "Role required", "This needs a role that the caller does not have."),
  "permission-required": forbidden(
    "permission-required",
    "Permission required",
    "This needs a permission that the caller does not have.",
  ),
  "impersonation-refused": forbidden(
    "impersonation-refused",
    "Impersonation refused",
    "This cannot be done on behalf of a user.",
  ),
  "origin-refused": forbidden(
    "origin-refused",
    "Origin refused",
    "A page of this origin may not use the session cookie.",
  ),
};
const REVOKED: { readonly [reason in Reason]?: Problem } = {
  "session-revoked": unauthorized("session-revoked", "Session revoked", "The session of this token was ended."),
  "user-deleted": unauthorized("user-deleted", "User deleted", "The user of this token was deleted."),
  "user-banned": {
    status: 403,
    code: "user-banned",
    title: "User banned",
    detail: "The user of this token is banned.",
  },
};

/** The answer to a caller whose credentials are not accepted; undefined for an error of another kind. */
export function problemOf(error: unknown): Problem | undefined {
  if (error instanceof Refused) return error.problem;
  if (error instanceof KeysUnavailable) return KEYS_UNAVAILABLE;
  if (error instanceof RevocationsUnavailable) return REVOCATIONS_UNAVAILABLE;
  if (error instanceof OriginRefused) return FORBIDDEN["origin-refused"];
  if (!(error instanceof TokenRejected)) return undefined;
  const { reason, description } = error;
  return REVOKED[reason] ?? { ...unauthorized("token-not-valid", "Session token not valid", description), reason };
}

function unauthorized(code: string, title: string, detail: string): Problem {
  return {
    status: 401,
    code,
    title,
    detail,
    challenge: `Bearer error="invalid_token", error_description="${detail}"`,
  };
}

function forbidden(code: string, title: string, detail: string): Problem {
  const challenge = `Bearer error="insufficient_scope", error_description="${detail}"`;
  return { status: 403, code, title, detail, challenge };
}
