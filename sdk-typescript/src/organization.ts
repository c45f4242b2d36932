/** The active organization in session claims, version 1 (`org_*`) and version 2 (`o`, packed). */

import { identifier, invalid, isObject, text, texts } from "./fields.js";
import type { Organization } from "./identity.js";
import { isInteger, type JsonObject } from "./json.js";

const LONGEST_MASK = 20;

/**
 * The organization that these claims name. Source: Clerk, "Session tokens" (versions of the default claims).
 *
 * Throws `TokenRejected`: `v` or an organization claim is of the wrong JSON type.
 */
export function organizationIn(claims: JsonObject): Organization | undefined {
  if (!("v" in claims)) return long(claims);
  if (!isInteger(claims, "v")) throw invalid("v");
  return (claims["v"] as number) > 1 ? packed(claims) : long(claims);
}

function long(claims: JsonObject): Organization | undefined {
  // Older tokens have null for an absent organization.
  const stated = Object.fromEntries(
    ["org_id", "org_slug", "org_role", "org_permissions"]
      .filter((name) => claims[name] !== undefined && claims[name] !== null)
      .map((name) => [name, claims[name]]),
  );
  const id = identifier(stated, "org_id");
  if (id === undefined) return undefined;
  return {
    id,
    slug: text(stated, "org_slug"),
    role: identifier(stated, "org_role"),
    permissions: new Set(texts(stated, "org_permissions") ?? []),
  };
}

function packed(claims: JsonObject): Organization | undefined {
  const o = claims["o"];
  if (o === undefined || o === null) return undefined;
  const id = isObject(o) ? identifier(o, "id") : undefined;
  if (id === undefined || !isObject(o)) throw invalid("o");
  const role = identifier(o, "rol");
  return {
    id,
    slug: text(o, "slg"),
    role: role === undefined || role.startsWith("org:") ? role : `org:${role}`,
    permissions: unpacked(list(claims, "fea"), list(o, "per"), list(o, "fpm")),
  };
}

function list(claims: JsonObject, name: string): string[] {
  const joined = text(claims, name);
  return joined ? joined.split(",") : [];
}

/**
 * Bit j of mask i grants `org:<feature i>:<permission j>`.
 *
 * Clerk's documentation and its Go and Python SDKs count i over all features, its JavaScript SDK over the
 * organization's only. The number of masks shows which applies; if it matches neither, no permission is granted.
 */
function unpacked(features: string[], permissions: string[], masks: string[]): ReadonlySet<string> {
  for (const counted of [features, features.filter(ofOrganization)]) {
    if (counted.length !== masks.length) continue;
    const granted = counted.flatMap((feature, index) =>
      ofOrganization(feature)
        ? permissions
            .filter((_, bit) => (bits(masks[index]!) >> BigInt(bit)) & 1n)
            .map((permission) => `org:${feature.slice(feature.indexOf(":") + 1)}:${permission}`)
        : [],
    );
    return new Set(granted);
  }
  return new Set();
}

/** Whether a feature such as `o:dashboard`, `u:beta` or `ou:both` has the organization's scope. */
function ofOrganization(feature: string): boolean {
  const colon = feature.indexOf(":");
  return colon >= 0 && feature.slice(0, colon).includes("o");
}

function bits(mask: string): bigint {
  return /^[0-9]+$/.test(mask) && mask.length <= LONGEST_MASK ? BigInt(mask) : 0n;
}
