/** Refuse tokens of ended sessions and of banned or deleted users, without a network call for each request. */

import { setTimeout as sleep } from "node:timers/promises";

import type { Kafka, KafkaMessage } from "kafkajs";

import { RevocationsUnavailable, TokenRejected, type Reason } from "./errors.js";
import { decode, decodeSession, SESSION_TOPIC, UnusableEvent, USER_TOPIC } from "./events.js";
import { follow } from "./following.js";
import type { Authenticated } from "./identity.js";
import { Revoked } from "./revoked.js";
import { reporting } from "./report.js";
import type { RevocationCheck } from "./verifier.js";

/** Added to the window, for differing clocks of relay and Clerk and for the verifier's leeway. */
const MARGIN_S = 30;
const AGAIN_MS = 500;
const CLOSE_MS = 2_000;

const DESCRIPTIONS: { readonly [reason in Reason]?: string } = {
  "session-revoked": "The session of this token was ended.",
  "user-deleted": "The user of this token was deleted.",
  "user-banned": "The user of this token is banned.",
};

/** All durations are in seconds. */
export interface RevocationsOptions {
  /** As configured in auth-service. */
  readonly sessionTopic?: string;
  readonly userTopic?: string;
  /** Longer than the lifetime of a token, with room for differing clocks; 300 by default. */
  readonly window?: number;
  /** Seconds behind, beyond which this is stale; 15 by default. */
  readonly staleAfter?: number;
  /** "refuse" (the default) answers tokens that are valid otherwise with 503; "allow" accepts them. */
  readonly whenStale?: "refuse" | "allow";
  /** Sessions and users in memory; 1,000,000 by default. */
  readonly most?: number;
  /** Prefix of the consumer group that kafkajs needs, where access lists allow only some names. */
  readonly groupIdPrefix?: string;
  /** Called when reading begins to fail, with the cause, and when it works again. */
  readonly onChange?: (message: string) => void;
}

/** The state of `Revocations`, for health checks and metrics. Counts are since the start. */
export interface RevocationsState {
  /** Whether `behindSeconds` is within the bound and nothing was dropped. */
  readonly current: boolean;
  readonly behindSeconds: number;
  readonly sessions: number;
  /** Users in memory, those who are neither banned nor deleted included. */
  readonly users: number;
  readonly staleRefused: number;
  readonly staleAllowed: number;
  /** Records that were skipped. */
  readonly unknown: number;
  readonly unusable: number;
  /** Events that exceeded `most`. */
  readonly dropped: number;
  readonly failures: number;
  readonly lastError: string | undefined;
}

/**
 * Follows the events about ended sessions and banned or deleted users; pass it to a `SessionVerifier`.
 *
 * It reads both topics from `window` seconds ago on, and stores nothing: a restart reads the window again. A window is
 * enough because Clerk issues no token for an ended session or a banned or deleted user, and tokens expire
 * after 60 s. Several times a second it asks the brokers for the end offsets of the topics; once it has read up to
 * these it is current as of the time of the request. Before `start` and after `close` it is stale.
 *
 * Throws `TypeError`: a duration or number is out of range.
 */
export class Revocations implements RevocationCheck {
  readonly #kafka: Kafka;
  readonly #sessionTopic: string;
  readonly #userTopic: string;
  readonly #kept: number;
  readonly #staleAfter: number;
  readonly #refuseWhenStale: boolean;
  readonly #groupIdPrefix: string;
  readonly #report: (message: string) => void;
  readonly #revoked: Revoked;
  readonly #stopping = new AbortController();
  #following: Promise<void> | undefined;
  #onFirst: (() => void) | undefined;
  #knownAsOf = -Infinity;
  #counts = { staleRefused: 0, staleAllowed: 0, unknown: 0, unusable: 0, failures: 0 };
  #lastError: string | undefined;

  constructor(kafka: Kafka, options: RevocationsOptions = {}) {
    const { window = 300, staleAfter = 15, whenStale = "refuse", most = 1_000_000 } = options;
    if (!(window > 0 && window < Infinity)) throw new TypeError("window is a number of seconds, more than 0");
    if (!(staleAfter >= 1 && staleAfter < Infinity))
      throw new TypeError("staleAfter is a number of seconds, 1 or more");
    if (whenStale !== "refuse" && whenStale !== "allow") throw new TypeError('whenStale is "refuse" or "allow"');
    if (!(most >= 1)) throw new TypeError("most is 1 or more");
    this.#kafka = kafka;
    this.#sessionTopic = options.sessionTopic ?? SESSION_TOPIC;
    this.#userTopic = options.userTopic ?? USER_TOPIC;
    if (this.#sessionTopic === this.#userTopic) throw new TypeError("sessionTopic and userTopic are the same");
    this.#kept = window + MARGIN_S;
    this.#staleAfter = staleAfter;
    this.#refuseWhenStale = whenStale === "refuse";
    this.#groupIdPrefix = options.groupIdPrefix ?? "anomalyze-auth-revocations-";
    this.#report = reporting(options.onChange, "ANOMALYZE_AUTH_REVOKED");
    this.#revoked = new Revoked({ keep: this.#kept, most });
  }

  /**
   * Start reading; resolve once everything published before is read, or stale after `timeout` seconds. It then goes on
   * in the background until it succeeds. Throws `Error`: it was started before.
   */
  async start({ timeout = 10 } = {}): Promise<RevocationsState> {
    if (this.#following !== undefined) throw new Error("Revocations can be started once");
    const first = new Promise<void>((resolve) => (this.#onFirst = resolve));
    this.#following = this.#follow();
    await Promise.race([first, sleep(timeout * 1000, undefined, { ref: false })]);
    return this.state;
  }

  /** Stop reading. From then on it is stale. Connections to brokers that do not answer end later by themselves. */
  async close(): Promise<void> {
    this.#stopping.abort();
    await Promise.race([this.#following, sleep(CLOSE_MS, undefined, { ref: false })]);
    this.#knownAsOf = -Infinity;
  }

  /** Returns if nothing is known against the caller. Call it again in long-lived connections such as WebSockets. */
  check(caller: Pick<Authenticated, "sessionId" | "userId">): void {
    const reason = this.#revoked.verdict(caller.sessionId, caller.userId);
    if (reason !== undefined) throw new TokenRejected(reason, DESCRIPTIONS[reason]!);
    if (this.fresh() < this.#staleAfter) return;
    if (this.#refuseWhenStale) {
      this.#counts.staleRefused += 1;
      throw new RevocationsUnavailable(this.#lastError ?? "recent revocations are not known yet");
    }
    this.#counts.staleAllowed += 1;
  }

  /** How many seconds it may be behind: older events have been read. Infinite before the first time. */
  fresh(): number {
    const now = performance.now();
    return now / 1000 < this.#revoked.overflowUntil ? Infinity : (now - this.#knownAsOf) / 1000;
  }

  get state(): RevocationsState {
    const behindSeconds = this.fresh();
    return {
      ...this.#counts,
      current: behindSeconds < this.#staleAfter,
      behindSeconds,
      sessions: this.#revoked.sessions,
      users: this.#revoked.users,
      dropped: this.#revoked.dropped,
      lastError: this.#lastError,
    };
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stopping;
    const following = {
      take: (topic: string, record: KafkaMessage) => this.#take(topic, record),
      known: (asOf: number) => this.#known(asOf),
    };
    while (!signal.aborted) {
      try {
        const from = Date.now() - this.#kept * 1000;
        await follow(this.#kafka, [this.#sessionTopic, this.#userTopic], from, following, {
          groupIdPrefix: this.#groupIdPrefix,
          signal,
        });
      } catch (error) {
        if (!signal.aborted) this.#failed(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
      }
      await sleep(AGAIN_MS * (1 + Math.random()), undefined, { signal }).catch(() => undefined);
    }
  }

  #take(topic: string, record: KafkaMessage): void {
    try {
      const event = topic === this.#sessionTopic ? decodeSession(record) : decode(record);
      if (event.kind === "unknown") this.#counts.unknown += 1;
      else this.#revoked.apply(event, performance.now() / 1000);
    } catch (error) {
      if (!(error instanceof UnusableEvent)) throw error;
      this.#counts.unusable += 1;
    }
  }

  #known(asOf: number): void {
    if (this.#stopping.signal.aborted) return;
    if (this.#lastError !== undefined) this.#report("revocations are known up to now");
    this.#lastError = undefined;
    this.#knownAsOf = asOf;
    this.#revoked.forget(performance.now() / 1000);
    this.#onFirst?.();
  }

  #failed(error: string): void {
    this.#counts.failures += 1;
    if (this.#lastError === undefined) this.#report(`revocations cannot be followed: ${error}`);
    this.#lastError = error;
  }
}
