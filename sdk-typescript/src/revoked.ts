/** Revoked sessions and the state of users, in bounded memory; pure, without a clock and without Kafka. */

import type { Reason } from "./errors.js";
import type { SessionRevoked, UserEvent } from "./events.js";

type Verdict = Extract<Reason, "session-revoked" | "user-deleted" | "user-banned">;

interface Known {
  readonly version: number;
  readonly verdict: Verdict | undefined;
  readonly forgottenAt: number;
}

/**
 * Ended sessions, and the newest known state of users, each for `keep` seconds.
 *
 * The result does not depend on the order and repetition of events: an ended session stays ended; of a user the highest
 * version counts, and a deletion overrides every version. Users who are neither banned nor deleted are kept too, for
 * their version: otherwise a ban that is delivered again after an unban would count. `most` bounds sessions and users
 * together; beyond it, events are dropped, and answers are incomplete until `overflowUntil`, when every token that they
 * concern has expired.
 */
export class Revoked {
  // Both in the order in which they are forgotten.
  readonly #sessions = new Map<string, number>();
  readonly #users = new Map<string, Known>();
  readonly #keep: number;
  readonly #most: number;
  overflowUntil = -Infinity;
  dropped = 0;

  constructor({ keep, most }: { readonly keep: number; readonly most: number }) {
    this.#keep = keep;
    this.#most = most;
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  get users(): number {
    return this.#users.size;
  }

  /** Why a token with these ids must be refused; undefined if nothing is known against it. */
  verdict(sessionId: string, userId: string): Verdict | undefined {
    return this.#users.get(userId)?.verdict ?? (this.#sessions.has(sessionId) ? "session-revoked" : undefined);
  }

  /** Apply an event that arrived at `now` (monotonic seconds). */
  apply(event: SessionRevoked | UserEvent, now: number): void {
    const forgottenAt = now + this.#keep;
    if (event.kind === "session-revoked") {
      if (!this.#sessions.has(event.sessionId) && this.#hasRoom(now)) {
        this.#sessions.set(event.sessionId, forgottenAt);
      }
      return;
    }
    const { userId, version } = event;
    const verdict =
      event.kind === "deleted" ? "user-deleted" : event.user.banned ? ("user-banned" as const) : undefined;
    const known = this.#users.get(userId);
    if (known === undefined) {
      if (!this.#hasRoom(now)) return;
    } else if (known.verdict === "user-deleted" || (version <= known.version && verdict !== "user-deleted")) {
      return;
    }
    this.#users.delete(userId);
    this.#users.set(userId, { version, verdict, forgottenAt });
  }

  /** Drop what was kept for `keep` seconds. */
  forget(now: number): void {
    for (const [sessionId, forgottenAt] of this.#sessions) {
      if (forgottenAt > now) break;
      this.#sessions.delete(sessionId);
    }
    for (const [userId, { forgottenAt }] of this.#users) {
      if (forgottenAt > now) break;
      this.#users.delete(userId);
    }
  }

  #hasRoom(now: number): boolean {
    if (this.#sessions.size + this.#users.size < this.#most) return true;
    this.dropped += 1;
    this.overflowUntil = now + this.#keep;
    return false;
  }
}
