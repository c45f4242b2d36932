/** Signing keys from a JWKS URL: cached, with one fetch at a time, and kept for a bounded time during an outage. */

import { createPublicKey, type KeyObject } from "node:crypto";

import { protectedUrl } from "./addresses.js";
import { KeysUnavailable, TokenRejected } from "./errors.js";
import { isObject } from "./fields.js";
import { decodedObject, type JsonObject } from "./json.js";
import { weakness, type KeySource } from "./keys.js";
import { reporting } from "./report.js";

const LARGEST_ANSWER_BYTES = 262_144;
const LONGEST_MODULUS = 1_366; // base64url characters of 8192 bits
const LONGEST_EXPONENT = 11; // of 64 bits
const BASE64 = /^[A-Za-z0-9_+/-]+=*$/; // Node would leave out whatever else there is

/** All durations are in seconds. */
export interface JwksKeysOptions {
  /** Sent with each fetch, for example `{ Authorization: "Bearer sk_…" }`. */
  readonly headers?: Record<string, string>;
  readonly freshFor?: number;
  readonly staleFor?: number;
  readonly cooldown?: number;
  readonly retryEvery?: number;
  /** Timeout of one whole fetch, body included. */
  readonly timeout?: number;
  /** Monotonic seconds. */
  readonly clock?: () => number;
  /** Called when fetching begins to fail, with URL and reason, and when it works again. */
  readonly onChange?: (message: string) => void;
}

/** The state of the keys, for health checks and metrics. */
export interface JwksState {
  /** Whether tokens can be verified now. */
  readonly usable: boolean;
  readonly keys: number;
  /** Entries of the last answer that are not RS256 signing keys. */
  readonly ignored: number;
  /** Since the last successful fetch. */
  readonly ageSeconds: number | undefined;
  readonly fetches: number;
  readonly failures: number;
  /** Of the last fetch; undefined if it succeeded. */
  readonly lastError: string | undefined;
}

/**
 * Keys from a JWKS URL.
 *
 * Fetched when first needed and again every `freshFor` (300); under traffic shortly before that and in the background,
 * so that no request waits. When a fetch fails, the cached keys stay in use for another `staleFor` (3600), and the
 * fetch is repeated every `retryEvery` (2). A `kid` that is not among the keys causes a fetch (so a rotation needs
 * no restart), at most one per `cooldown` (30), whatever the number of tokens. There is never more than one fetch at a
 * time. An answer with another status than 200, too large, too slow, not JSON, without an RS256 key, or with two keys
 * for one `kid` counts as a failed fetch.
 *
 * Throws `TypeError`: the URL is neither https nor on this machine.
 */
export class JwksKeys implements KeySource {
  readonly #url: URL;
  readonly #headers: Record<string, string>;
  readonly #freshFor: number;
  readonly #staleFor: number;
  readonly #cooldown: number;
  readonly #retryEvery: number;
  readonly #timeout: number;
  readonly #clock: () => number;
  readonly #report: (message: string) => void;
  #keys = new Map<string, KeyObject>();
  #fetch: Promise<void> | undefined;
  #fetchedAt: number | undefined;
  #failedAt: number | undefined;
  #searchedAt: number | undefined; // when a kid that is not among the keys last caused a fetch
  #lastError: string | undefined;
  #ignored = 0;
  #fetches = 0;
  #failures = 0;

  constructor(url: string, options: JwksKeysOptions = {}) {
    this.#url = protectedUrl(url);
    // Fetches are minutes apart: the server may close a kept connection just as it is used again.
    const always = { "accept-encoding": "identity", connection: "close" };
    this.#headers = { accept: "application/json", ...options.headers, ...always };
    this.#freshFor = options.freshFor ?? 300;
    this.#staleFor = options.staleFor ?? 3600;
    this.#cooldown = options.cooldown ?? 30;
    this.#retryEvery = options.retryEvery ?? 2;
    this.#timeout = options.timeout ?? 5;
    this.#clock = options.clock ?? (() => performance.now() / 1000);
    this.#report = reporting(options.onChange, "ANOMALYZE_AUTH_KEYS");
  }

  get state(): JwksState {
    const age = this.#age();
    return {
      usable: age !== undefined && age < this.#freshFor + this.#staleFor,
      keys: this.#keys.size,
      ignored: this.#ignored,
      ageSeconds: age,
      fetches: this.#fetches,
      failures: this.#failures,
      lastError: this.#lastError,
    };
  }

  async find(keyId: string | undefined): Promise<KeyObject> {
    if (keyId === undefined) throw new TokenRejected("unknown-key", "The token header has no kid.");
    const isNew = await this.#keepFresh();
    if (!this.state.usable) throw new KeysUnavailable(this.#lastError ?? "no keys yet");
    let key = this.#keys.get(keyId);
    if (key === undefined && !isNew && this.#maySearch()) {
      this.#searchedAt = this.#clock();
      await this.#startFetch();
      key = this.#keys.get(keyId);
    }
    if (key !== undefined) return key;
    if (this.#lastError !== undefined) throw new KeysUnavailable(this.#lastError);
    throw new TokenRejected("unknown-key", "The token is signed with a key that is not ours.");
  }

  /** Fetch now, whatever the age of the keys; for a start-up or a health check. */
  async refresh(): Promise<JwksState> {
    await this.#startFetch();
    return this.state;
  }

  #age(): number | undefined {
    return this.#fetchedAt === undefined ? undefined : this.#clock() - this.#fetchedAt;
  }

  /** Returns whether it waited for a fetch. */
  async #keepFresh(): Promise<boolean> {
    const age = this.#age();
    if (age !== undefined && age < this.#freshFor * 0.8) return false;
    if (this.#failedAt !== undefined) {
      // After a failure, callers wait only if there are no usable keys.
      if (this.#clock() - this.#failedAt >= this.#retryEvery) void this.#startFetch();
      if (this.#fetch === undefined || this.state.usable) return false;
    } else if (age !== undefined && age < this.#freshFor) {
      void this.#startFetch();
      return false;
    }
    await this.#startFetch();
    return true;
  }

  #maySearch(): boolean {
    if (this.#fetch !== undefined) return true;
    const now = this.#clock();
    if (this.#failedAt !== undefined && now - this.#failedAt < this.#retryEvery) return false;
    return this.#searchedAt === undefined || now - this.#searchedAt >= this.#cooldown;
  }

  #startFetch(): Promise<void> {
    this.#fetch ??= this.#runFetch().finally(() => (this.#fetch = undefined));
    return this.#fetch;
  }

  async #runFetch(): Promise<void> {
    this.#fetches += 1;
    const where = `${this.#url.origin}${this.#url.pathname}`; // no query
    try {
      const { keys, ignored } = signingKeys(await this.#download());
      this.#keys = keys;
      this.#ignored = ignored;
      if (this.#failedAt !== undefined) this.#report(`the signing keys at ${where} are within reach again`);
      this.#fetchedAt = this.#clock();
      this.#failedAt = this.#lastError = undefined;
    } catch (error) {
      this.#failures += 1;
      const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : "";
      this.#lastError = error instanceof Error ? `${error.message}${cause}` : String(error);
      if (this.#failedAt === undefined) {
        this.#report(`the signing keys at ${where} are out of reach: ${this.#lastError}`);
      }
      this.#failedAt = this.#clock();
    }
  }

  async #download(): Promise<Uint8Array> {
    const response = await fetch(this.#url, {
      headers: this.#headers,
      redirect: "manual",
      signal: AbortSignal.timeout(this.#timeout * 1000),
    });
    const chunks: Uint8Array[] = [];
    try {
      if (response.status !== 200) throw new Error(`unusable answer: status ${response.status}`);
      // A small compressed answer can be huge, and none was asked for.
      if ((response.headers.get("content-encoding") ?? "identity") !== "identity") {
        throw new Error("unusable answer: compressed, although it was requested without compression");
      }
      let size = 0;
      for await (const chunk of response.body ?? []) {
        size += chunk.length;
        if (size > LARGEST_ANSWER_BYTES) throw new Error(`unusable answer: more than ${LARGEST_ANSWER_BYTES} bytes`);
        chunks.push(chunk);
      }
    } catch (error) {
      await response.body?.cancel().catch(() => undefined);
      throw error;
    }
    return Buffer.concat(chunks);
  }
}

function signingKeys(answer: Uint8Array): { keys: Map<string, KeyObject>; ignored: number } {
  const entries = decodedObject(answer)?.["keys"];
  if (!Array.isArray(entries)) throw new Error("unusable answer: not a JSON Web Key Set");
  const keys = new Map<string, KeyObject>();
  let ignored = 0;
  for (const entry of entries as unknown[]) {
    const key = isObject(entry) ? signingKey(entry) : undefined;
    if (key === undefined) {
      ignored += 1;
      continue;
    }
    const keyId = (entry as JsonObject)["kid"] as string;
    if (!(keys.get(keyId) ?? key).equals(key)) throw new Error("unusable answer: two different keys with one kid");
    keys.set(keyId, key);
  }
  if (keys.size === 0) throw new Error("unusable answer: no RS256 signing key in the key set");
  return { keys, ignored };
}

/** The key in a JWK (RFC 7517), or undefined if it is not for verifying RS256 signatures. */
function signingKey(entry: JsonObject): KeyObject | undefined {
  const { kty, alg = "RS256", use = "sig", key_ops: operations = ["verify"], kid, n, e } = entry;
  const isForRs256 =
    kty === "RSA" &&
    alg === "RS256" &&
    use === "sig" &&
    Array.isArray(operations) &&
    operations.includes("verify") &&
    !("d" in entry); // a private key that was published proves nothing any more
  // Arithmetic on a huge number takes minutes.
  const isSized =
    typeof kid === "string" &&
    kid !== "" &&
    typeof n === "string" &&
    n.length <= LONGEST_MODULUS &&
    BASE64.test(n) &&
    typeof e === "string" &&
    e.length <= LONGEST_EXPONENT &&
    BASE64.test(e);
  if (!isForRs256 || !isSized) return undefined;
  try {
    const key = createPublicKey({ format: "jwk", key: { kty, n, e } });
    return weakness(key) === undefined ? key : undefined;
  } catch {
    return undefined;
  }
}
