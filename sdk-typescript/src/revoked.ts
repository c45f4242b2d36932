/** What is known of revoked sessions and of users, in bounded memory. No clock and no Kafka in here. */

import type { Reason } from "./errors.js";
import type { SessionRevoked, UserEvent } from "./events.js";

type Verdict = Extract<Reason, "session-revoked" | "user-deleted" | "user-banned">;

interface Known {
  readonly version: number;
  readonly verdict: Verdict | undefined;
  readonly forgottenAt: number;
}

/**
 * Sessions that were ended, and users with the newest state that was seen of them, each for `keep` seconds.
 *
 * The same events give the same answer in any order and repetition: sessions only ever end; of a user the highest
 * version counts, and a deletion over everything. Users in good standing are kept too, for their version: else a ban that
 * comes again after it was lifted would count. `most` bounds sessions and users together; what does not fit is dropped
 * and makes the answers unreliable until `overflowUntil`: by then no token can name what was dropped.
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

  /** Why a token with these ids does not count; undefined: nothing is known against it. */
  verdict(sessionId: string, userId: string): Verdict | undefined {
    return this.#users.get(userId)?.verdict ?? (this.#sessions.has(sessionId) ? "session-revoked" : undefined);
  }

  /** Take in what arrived at `now` (seconds that never go back). */
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

  /** Drop what was kept long enough. */
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
