/** Consume user events: each version of each user once, in order, whatever Kafka delivers twice. */

import { decode, UnusableEvent, type KafkaRecord, type UserEvent } from "./events.js";

/**
 * Remembers the last version of each user that was handled.
 *
 * Kept in the database that the handler writes to, and in its transaction, it makes each version take effect exactly
 * once. Kept elsewhere, a crash between handling and remembering handles it again.
 */
export interface LastSeen {
  /** The last version handled of this user; 0 when none was. */
  version(userId: string): number | Promise<number>;
  /** Note that this version was handled. It is higher than the one before. */
  remember(userId: string, version: number): void | Promise<void>;
}

/**
 * Remembers the users seen most recently in this process; a restart starts from nothing. Enough where handling a
 * version again is harmless, for example to drop cache entries.
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

/** What became of a record. */
export type Outcome = "handled" | "duplicate" | "unknown" | "unusable";

export interface UserEventsOptions {
  /**
   * Called with a record that is no event, which is then skipped. Without it such a record throws, and is met again
   * after a restart, until somebody looks at it.
   */
  readonly onUnusable?: (error: UnusableEvent) => void | Promise<void>;
  /** Called with the type of an event that this package does not know, which is then skipped. */
  readonly onUnknown?: (type: string) => void | Promise<void>;
}

/**
 * Gives a handler each user event that is newer than what was handled of that user before. It must see the records of
 * one partition one after another, as kafkajs (`eachMessage`) and streams of @platformatic/kafka give them.
 */
export class UserEvents {
  readonly #lastSeen: LastSeen;
  readonly #options: UserEventsOptions;

  constructor(lastSeen: LastSeen, options: UserEventsOptions = {}) {
    this.#lastSeen = lastSeen;
    this.#options = options;
  }

  /**
   * Decode one record and hand it over unless it is old news.
   *
   * Rejects with `UnusableEvent` (no event, and there is no `onUnusable`), or with whatever the handler throws; the
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
