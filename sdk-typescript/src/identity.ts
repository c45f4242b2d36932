/** The caller, as identified by a verified session token. */

/** A complete Clerk user id. */
export const USER_ID = /^user_[A-Za-z0-9_-]{1,123}$/;

/** The active organization of the session; role and permissions in Clerk's long form (`org:admin`). */
export interface Organization {
  readonly id: string;
  readonly slug: string | undefined;
  readonly role: string | undefined;
  readonly permissions: ReadonlySet<string>;
}

/**
 * The identity in a verified session token.
 *
 * Times are seconds since 1970, from the token. Factor ages are whole minutes between the last verification of the
 * first or second factor and the creation of the token; undefined: never, or not in the token. `actorId` is set when
 * another person acts as this user (impersonation): audit it, and refuse dangerous operations. `claims` holds every
 * claim.
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
