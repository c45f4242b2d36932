/** Consume user events: each version of each user once and in order, although Kafka delivers at least once. */

import { decode, UnusableEvent, type KafkaRecord, type UserEvent } from "./events.js";

/**
 * Stores the last version of each user that was handled.
 *
 * If it is stored in the database that the handler writes to, in the same transaction, each version takes effect
 * exactly once. If it is stored elsewhere, a crash between the two handles a version again.
 */
export interface LastSeen {
  /** The last version handled of this user; 0 when none was. */
  version(userId: string): number | Promise<number>;
  /** Store that this version was handled. It is higher than the previous one. */
  remember(userId: string, version: number): void | Promise<void>;
}

/**
 * Remembers the most recent users in the memory of this process; it is empty after a restart. Enough where handling a
 * version again does no harm, for example to drop cache entries.
 */
export class InMemoryLastSeen implements LastSeen {
  readonly #versions = new Map<string, number>();
  readonly #mostUsers: number;

  constructor({ mostUsers = 100_000 } = {}) {
    this.#mostUsers = mostUsers;
  }

  version(userId: string): number {
    return this.#versions.get(userId) ?? 0;
  }

  remember(userId: string, version: number): void {
    this.#versions.delete(userId);
    this.#versions.set(userId, version);
    if (this.#versions.size > this.#mostUsers) this.#versions.delete(this.#versions.keys().next().value!);
  }
}

/** The result of delivering a record. */
export type Outcome = "handled" | "duplicate" | "unknown" | "unusable";

export interface UserEventsOptions {
  /**
   * Called for a record that is not an event, which is then skipped. Without it such a record throws `UnusableEvent`,
   * and is delivered again after a restart.
   */
  readonly onUnusable?: (error: UnusableEvent) => void | Promise<void>;
  /** Called with the type of an event that this package does not know, which is then skipped. */
  readonly onUnknown?: (type: string) => void | Promise<void>;
}

/**
 * Passes a handler each user event that is newer than the last one handled of that user. It must get the records of
 * one partition one after another, as kafkajs (`eachMessage`) and streams of @platformatic/kafka deliver them.
 */
export class UserEvents {
  readonly #lastSeen: LastSeen;
  readonly #options: UserEventsOptions;

  constructor(lastSeen: LastSeen, options: UserEventsOptions = {}) {
    this.#lastSeen = lastSeen;
    this.#options = options;
  }

  /**
   * Decode one record and pass it to the handler, unless its version was handled before.
   *
   * Rejects with `UnusableEvent` (not an event, and there is no `onUnusable`), or with whatever the handler throws; the
   * event is then not remembered.
   */
  async deliver(record: KafkaRecord, handle: (event: UserEvent) => void | Promise<void>): Promise<Outcome> {
    let event;
    try {
      event = decode(record);
    } catch (error) {
      if (!(error instanceof UnusableEvent) || this.#options.onUnusable === undefined) throw error;
      await this.#options.onUnusable(error);
      return "unusable";
    }
    if (event.kind === "unknown") {
      await this.#options.onUnknown?.(event.type);
      return "unknown";
    }
    if (event.version <= (await this.#lastSeen.version(event.userId))) return "duplicate";
    await handle(event);
    await this.#lastSeen.remember(event.userId, event.version);
    return "handled";
  }
}
