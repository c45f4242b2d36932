/** Readers for single claims: each returns the value, or undefined if it is absent, and refuses a wrong type. */

import { TokenRejected } from "./errors.js";
import type { JsonObject } from "./json.js";

// Ids and roles are copied into headers, logs and queries of other services: visible ASCII only.
const IDENTIFIER = /^[!-~]{1,255}$/;
// 1970 to 9999: the range of dates in every language.
const LATEST = 253_402_300_799;

export function invalid(name: string): TokenRejected {
  return new TokenRejected("claim-invalid", `The claim ${name} does not have the form it must have.`);
}

export function missing(name: string): TokenRejected {
  return new TokenRejected("claim-missing", `The claim ${name} is missing.`);
}

/** A NumericDate in seconds: any JSON number (RFC 7519 section 2), moved into the range of dates. */
export function number(claims: JsonObject, name: string): number | undefined {
  if (!(name in claims)) return undefined;
  const value = claims[name];
  if (typeof value !== "number") throw invalid(name);
  return Math.min(Math.max(value, 0), LATEST);
}

export function text(claims: JsonObject, name: string): string | undefined {
  if (!(name in claims)) return undefined;
  const value = claims[name];
  if (typeof value !== "string") throw invalid(name);
  return value;
}

export function identifier(claims: JsonObject, name: string): string | undefined {
  const value = text(claims, name);
  if (value !== undefined && !IDENTIFIER.test(value)) throw invalid(name);
  return value;
}

export function texts(claims: JsonObject, name: string): string[] | undefined {
  if (!(name in claims)) return undefined;
  const value = claims[name];
  if (!Array.isArray(value) || !value.every((entry) => typeof entry === "string")) throw invalid(name);
  return value as string[];
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
