/** What a route requires of its caller. */

import type { Authenticated } from "./identity.js";
import { FORBIDDEN, type Problem } from "./problems.js";

/**
 * How a route treats callers without an identity. PUBLIC: the token is not read. OPTIONAL: a caller without a
 * token is anonymous. REQUIRED: a valid token is needed.
 */
export type Access = "public" | "optional" | "required";
export const PUBLIC = "public";
export const OPTIONAL = "optional";
export const REQUIRED = "required";

/**
 * What a signed-in caller needs; every field that is set must hold.
 *
 * `organization`: true for any active organization, or the id of one. `role` and `permission`: in that organization, in
 * the long form (`org:admin`). `inPerson`: not impersonated.
 */
export interface Requirement {
  readonly organization?: boolean | string;
  readonly role?: string;
  readonly permission?: string;
  readonly inPerson?: boolean;
}

export type Rule = Access | Requirement;

const KINDS: Record<keyof Required<Requirement>, readonly string[]> = {
  organization: ["boolean", "string"],
  role: ["string"],
  permission: ["string"],
  inPerson: ["boolean"],
};

/**
 * Checks a rule and returns it. Throws `TypeError`: it is not a rule, or one of its values has the wrong type, is
 * unknown, or empty (usually a missing setting): it would check nothing, or refuse every caller.
 */
export function checkedRule(rule: Rule): Rule {
  if (rule === PUBLIC || rule === OPTIONAL || rule === REQUIRED) return rule;
  if (typeof rule !== "object" || rule === null || Array.isArray(rule)) {
    throw new TypeError('A rule is "public", "optional", "required" or a requirement.');
  }
  for (const [name, value] of Object.entries(rule)) {
    const kinds = KINDS[name as keyof Requirement];
    if (kinds === undefined) throw new TypeError(`A requirement has no ${name}.`);
    if (!kinds.includes(typeof value)) throw new TypeError(`${name} of a requirement is a ${kinds.join(" or ")}.`);
    if (typeof value === "string" && value.trim() === "") throw new TypeError(`${name} of a requirement is empty.`);
  }
  return Object.freeze({ ...rule });
}

/** The answer to a caller who does not meet the requirement; undefined for one who does. */
export function refusal(requirement: Requirement, caller: Authenticated): Problem | undefined {
  const { organization, role, permission, inPerson } = requirement;
  const active = caller.organization;
  if (organization && (active === undefined || (organization !== true && organization !== active.id))) {
    return FORBIDDEN["organization-required"];
  }
  if (role !== undefined && active?.role !== role) return FORBIDDEN["role-required"];
  if (permission !== undefined && !active?.permissions.has(permission)) return FORBIDDEN["permission-required"];
  if (inPerson && caller.actorId !== undefined) return FORBIDDEN["impersonation-refused"];
  return undefined;
}
