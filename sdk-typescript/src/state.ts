/** The state topic of auth-service on Kafka: each user's newest version, compacted. */

import {
  attributesOf,
  Fields,
  profileIn,
  UnusableEvent,
  userIdIn,
  versionIn,
  type KafkaRecord,
  type Profile,
  type UnknownEvent,
  type UserEvent,
} from "./events.js";

export const STATE_TOPIC = "auth.user.state.v1";
const STATE_V1 = "anomalyze.user.state.v1";

/** A user as of one version. */
export interface UserState {
  readonly kind: "state";
  readonly userId: string;
  readonly version: number;
  readonly user: Profile;
}

/** The user was deleted permanently: erase your data about them. */
export interface UserGone {
  readonly kind: "gone";
  readonly userId: string;
  readonly version: number;
}

/**
 * The state in a Kafka record; a value of null is a tombstone. Tolerant of unknown fields and types, as `decode` is.
 *
 * Throws `UnusableEvent`: it is not a CloudEvent in binary mode, its data does not fit its type, or key, headers and
 * data contradict each other. Nothing else is thrown, whatever the record contains.
 */
export function decodeState(
  record: KafkaRecord & { readonly key?: Uint8Array | string | null },
): UserState | UserGone | UnknownEvent {
  const attributes = attributesOf(record.headers);
  const { eventId, type } = attributes;
  if (type !== STATE_V1) return { kind: "unknown", eventId, type };
  const userId = userIdIn(attributes);
  if (!record.key || Buffer.compare(Buffer.from(record.key), Buffer.from(userId)) !== 0) {
    throw new UnusableEvent("the header ce_subject is not the key");
  }
  const version = versionIn(attributes);
  // @platformatic/kafka gives an empty buffer or undefined where there is no value.
  if (!record.value || record.value.length === 0) return { kind: "gone", userId, version };
  const state = profileIn(new Fields(type, record.value).object("user"));
  if (state.userId !== userId || state.version !== version) {
    throw new UnusableEvent("the user in the data is not the one that key and ce_sequence name");
  }
  return { kind: "state", ...state };
}

/**
 * All users who are not deleted, by id: apply every record of the state topic, from the beginning.
 *
 * It remembers the versions of deleted users too, so that user events and repeated records may be applied as well, in
 * any mixture: a version that is not newer changes nothing.
 */
export class UserStates {
  readonly #users = new Map<string, Profile>();
  readonly #versions = new Map<string, number>();

  /** All users, by id. */
  get users(): ReadonlyMap<string, Profile> {
    return this.#users;
  }

  /** Apply a result of `decodeState` or `decode`; returns whether it changed something. */
  apply(state: UserState | UserGone | UserEvent | UnknownEvent): boolean {
    if (state.kind === "unknown" || state.version <= (this.#versions.get(state.userId) ?? 0)) return false;
    this.#versions.set(state.userId, state.version);
    if (state.kind === "gone" || state.kind === "deleted") this.#users.delete(state.userId);
    else this.#users.set(state.userId, state.user);
    return true;
  }
}
