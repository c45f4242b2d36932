/** Sources of the public keys that verify signatures. */

import { createPublicKey, type KeyObject } from "node:crypto";

const SMALLEST_KEY_BITS = 2048; // RFC 7518 section 3.3
const LARGEST_KEY_BITS = 8192;
const SMALLEST_EXPONENT = 65_537n; // FIPS 186-5 section 5.4; with 1, anything is its own signature

const PEM_LINE = /-----(BEGIN|END)([A-Z ]*)-----/g;

/** Returns the public key for the `kid` of a token. */
export interface KeySource {
  /**
   * The key, fetched if necessary. Rejects with `TokenRejected` (there is no such key) or `KeysUnavailable` (whether
   * there is one is not known at the moment).
   */
  find(keyId: string | undefined): Promise<KeyObject>;
}

/**
 * One configured public key: no network. The `kid` of a token is ignored.
 *
 * The text may come from an environment variable: header and footer may be
 * missing, line ends may be missing or escaped (`\n`), and quotes around it are removed.
 *
 * Throws `TypeError`: not an RSA public key of 2048 to 8192 bits; the message says what it is.
 */
export class PemKey implements KeySource {
  readonly #key: KeyObject;

  constructor(pem: string) {
    this.#key = read(pem);
  }

  async find(_keyId: string | undefined): Promise<KeyObject> {
    return this.#key;
  }
}

/** Why this key is not accepted, or undefined. */
export function weakness(key: KeyObject): string | undefined {
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (modulusLength < SMALLEST_KEY_BITS || modulusLength > LARGEST_KEY_BITS) {
    return `an RSA key of ${modulusLength} bits (2048 to 8192 are accepted)`;
  }
  if (publicExponent < SMALLEST_EXPONENT) {
    return `an RSA key with the exponent ${publicExponent} (65537 is usual and the smallest accepted)`;
  }
  if (publicExponent % 2n === 0n) return `an RSA key with an even exponent (${publicExponent}), which no RSA key has`;
  return undefined;
}

function read(pem: string): KeyObject {
  const text = pem
    // Escaped twice where JSON or YAML holds a value that was escaped already.
    .replace(/\\+[rn]/g, "\n")
    .trim()
    .replace(/^["']+|["']+$/g, "");
  if (!text) throw new TypeError("The PEM key is empty.");
  for (const line of text.matchAll(PEM_LINE)) {
    const kind = line[2]!.trim();
    if (kind !== "PUBLIC KEY" && kind !== "RSA PUBLIC KEY") {
      throw new TypeError(`The PEM key is a ${kind || "nameless block"}; a PUBLIC KEY is needed.`);
    }
  }
  const body = text.replace(PEM_LINE, "").replace(/\s/g, "");
  const key = /^[A-Za-z0-9+/]+={0,2}$/.test(body) ? fromDer(Buffer.from(body, "base64")) : undefined;
  if (key === undefined) throw new TypeError("The PEM key cannot be read: it must be base64 of an RSA public key.");
  if (key.asymmetricKeyType !== "rsa") {
    throw new TypeError("The PEM key is not an RSA key; session tokens are signed with RS256.");
  }
  const weak = weakness(key);
  if (weak !== undefined) throw new TypeError(`The PEM key is ${weak}.`);
  return key;
}

function fromDer(der: Buffer): KeyObject | undefined {
  for (const type of ["spki", "pkcs1"] as const) {
    try {
      const key = createPublicKey({ key: der, format: "der", type });
      // OpenSSL ignores bytes behind the key.
      if (der.equals(key.export({ format: "der", type }))) return key;
    } catch {
      // the other type
    }
  }
  return undefined;
}
