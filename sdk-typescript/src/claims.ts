/** The claims of a token, which are checked after its signature. */

import { TokenRejected } from "./errors.js";
import { identifier, invalid, isObject, missing, number, text, texts } from "./fields.js";
import { USER_ID, type Authenticated } from "./identity.js";
import { isInteger, type JsonObject } from "./json.js";
import { organizationIn } from "./organization.js";

/** What a session token must contain besides a valid signature; an empty set is not checked. */
export interface Expectations {
  readonly issuer: string | null;
  readonly authorizedParties: ReadonlySet<string>;
  readonly audience: ReadonlySet<string>;
  readonly leeway: number;
}

/**
 * The identity in claims whose signature was verified.
 *
 * Edges are those of Clerk's own SDKs: expired when `exp <= now - leeway`; not active when `nbf > now + leeway`, and
 * the same for `iat`. Throws `TokenRejected`: a claim is missing, of the wrong JSON type, or has no accepted value.
 */
export function authenticated(claims: JsonObject, expected: Expectations, now: number): Authenticated {
  const userId = userIdIn(claims);
  const sessionId = sessionIdIn(claims);
  const [expiresAt, issuedAt] = requireTime(claims, expected.leeway, now);
  const issuer = text(claims, "iss");
  if (expected.issuer !== null && issuer !== expected.issuer) {
    throw new TokenRejected("issuer-mismatch", "The claim iss is not the issuer of this instance.");
  }
  const authorizedParty = text(claims, "azp");
  if (expected.authorizedParties.size > 0 && !expected.authorizedParties.has(authorizedParty ?? "")) {
    throw new TokenRejected("authorized-party-mismatch", "The claim azp is missing or not an authorized party.");
  }
  if (expected.audience.size > 0 && !audienceIn(claims).some((audience) => expected.audience.has(audience))) {
    throw new TokenRejected("audience-mismatch", "The claim aud is missing or names another audience.");
  }
  requireActive(claims);
  const [firstFactorAgeMinutes, secondFactorAgeMinutes] = factorAges(claims);
  return {
    userId,
    sessionId,
    expiresAt,
    issuer,
    issuedAt,
    authorizedParty,
    actorId: actorIdIn(claims),
    firstFactorAgeMinutes,
    secondFactorAgeMinutes,
    organization: organizationIn(claims),
    claims: Object.freeze(claims),
  };
}

function userIdIn(claims: JsonObject): string {
  const subject = text(claims, "sub");
  if (subject === undefined) throw missing("sub");
  if (subject.startsWith("mch_")) {
    throw new TokenRejected("wrong-token-type", "A machine token is not a session token.");
  }
  if (!USER_ID.test(subject)) throw invalid("sub");
  return subject;
}

/**
 * The session id. JWT templates, OAuth and machine tokens are signed with the same key, and have none. The header
 * identifies most of those; tokens from before Clerk added the class `cat` are identified by this alone.
 */
function sessionIdIn(claims: JsonObject): string {
  const sessionId = identifier(claims, "sid");
  const tokenId = claims["jti"];
  const ofMachine = typeof tokenId === "string" && (tokenId.startsWith("oat_") || tokenId.startsWith("mt_"));
  if (ofMachine || (sessionId === undefined && "client_id" in claims)) {
    throw new TokenRejected("wrong-token-type", "An OAuth or machine token is not a session token.");
  }
  if (sessionId === undefined) throw missing("sid");
  return sessionId;
}

function requireTime(claims: JsonObject, leeway: number, now: number): [number, number | undefined] {
  const expiresAt = number(claims, "exp");
  const notBefore = number(claims, "nbf");
  const issuedAt = number(claims, "iat");
  if (expiresAt === undefined) throw missing("exp");
  if (expiresAt <= now - leeway) throw new TokenRejected("token-expired", "The token has expired.");
  if (notBefore !== undefined && notBefore > now + leeway) {
    throw new TokenRejected("token-not-active-yet", "The token is not active yet (nbf).");
  }
  if (issuedAt !== undefined && issuedAt > now + leeway) {
    throw new TokenRejected("token-issued-in-the-future", "The token was issued in the future (iat).");
  }
  return [expiresAt, issuedAt];
}

function audienceIn(claims: JsonObject): string[] {
  const audience = claims["aud"];
  return typeof audience === "string" ? [audience] : (texts(claims, "aud") ?? []);
}

/** Pending means signed in with an unfinished task; an unknown status is not active. */
function requireActive(claims: JsonObject): void {
  const status = text(claims, "sts");
  if (status === "pending") {
    throw new TokenRejected("session-pending", "The session is pending: a sign-in task is unfinished.");
  }
  if (status !== undefined && status !== "active") throw invalid("sts");
}

/** The impersonator. An `act` without a subject is refused: the token must not count as the user's own. */
function actorIdIn(claims: JsonObject): string | undefined {
  const actor = claims["act"];
  if (actor === undefined || actor === null) return undefined;
  const actorId = isObject(actor) ? identifier(actor, "sub") : undefined;
  if (actorId === undefined) throw invalid("act");
  return actorId;
}

function factorAges(claims: JsonObject): [number | undefined, number | undefined] {
  const ages = claims["fva"];
  if (ages === undefined || ages === null) return [undefined, undefined];
  if (!Array.isArray(ages) || ages.length !== 2 || !isInteger(ages, 0) || !isInteger(ages, 1)) throw invalid("fva");
  const [first, second] = (ages as number[]).map((age) => (age >= 0 ? age : undefined));
  return [first, second];
}
