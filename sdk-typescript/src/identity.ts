/** Who is calling, as a verified session token says it. */

/** The whole of a Clerk user id. */
export const USER_ID = /^user_[A-Za-z0-9_-]{1,123}$/;

/** The organization that is active in the session; role and permissions in Clerk's long form (`org:admin`). */
export interface Organization {
  readonly id: string;
  readonly slug: string | undefined;
  readonly role: string | undefined;
  readonly permissions: ReadonlySet<string>;
}

/**
 * The identity in a verified session token.
 *
 * Times are seconds since 1970, as the token states them. Factor ages are whole minutes since the user last passed the
 * first or second factor when the token was made; undefined: never, or not stated. `actorId` is set when somebody acts
 * as this user (impersonation): audit it, and refuse dangerous operations. `claims` holds every claim.
 */
export interface Authenticated {
  readonly userId: string;
  readonly sessionId: string;
  readonly expiresAt: number;
  readonly issuer: string | undefined;
  readonly issuedAt: number | undefined;
  readonly authorizedParty: string | undefined;
  readonly actorId: string | undefined;
  readonly firstFactorAgeMinutes: number | undefined;
  readonly secondFactorAgeMinutes: number | undefined;
  readonly organization: Organization | undefined;
  readonly claims: { readonly [name: string]: unknown };
}
