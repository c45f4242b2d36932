// Keys and tokens for tests, and what a verifier says of them.
import { generateKeyPairSync, sign } from "node:crypto";

import { KeysUnavailable, TokenRejected } from "../dist/index.js";

export const NOW = 1_800_000_000;
export const ISSUER = "https://clerk.example.com";
export const KID = "ins_2abcDEFghi";

const pairs = new Map();

/** One RSA key for each name, made when first asked for. */
export function keyPair(name = "ours", bits = 2048) {
  if (!pairs.has(name)) pairs.set(name, generateKeyPairSync("rsa", { modulusLength: bits }));
  return pairs.get(name);
}

export function jwk({ name = "ours", bits = 2048, ...members } = {}) {
  const { n, e } = keyPair(name, bits).publicKey.export({ format: "jwk" });
  return { kty: "RSA", alg: "RS256", use: "sig", kid: KID, n, e, ...members };
}

const segment = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

export function token({ kid = KID, key = "ours", header = {}, claims = {} } = {}) {
  const protectedHeader = { alg: "RS256", typ: "JWT", kid, ...header };
  const payload = { sub: "user_1", sid: "sess_1", iss: ISSUER, iat: NOW, exp: NOW + 60, ...claims };
  const input = `${segment(protectedHeader)}.${segment(payload)}`;
  return `${input}.${sign("sha256", Buffer.from(input), keyPair(key).privateKey).toString("base64url")}`;
}

export async function verdict(verifier, text) {
  try {
    await verifier.verify(text);
    return "accepted";
  } catch (error) {
    if (error instanceof TokenRejected) return error.reason;
    if (error instanceof KeysUnavailable) return "unavailable";
    throw error;
  }
}
