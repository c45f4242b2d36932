/** Events about users and sessions, which auth-service publishes on Kafka (CloudEvents 1.0, binary mode). */

import { isObject } from "./fields.js";
import type { UserUpdatedV1 } from "./generated/events.js";
import { decodedObject, isInteger, type JsonObject } from "./json.js";

// The service publishes metadata with up to 100 levels, and a later one may add levels around it.
const DEEPEST = 512;

export const USER_TOPIC = "auth.user.events.v1";
export const SESSION_TOPIC = "auth.session.events.v1";
const CREATED_V1 = "anomalyze.user.created.v1";
const UPDATED_V1 = "anomalyze.user.updated.v1";
const DELETED_V1 = "anomalyze.user.deleted.v1";
const REVOKED_V1 = "anomalyze.session.revoked.v1";

/** A user as of one version. Fields that an older producer does not send have their default: null, false or empty. */
export type Profile = UserUpdatedV1.ProfileDocument & { created_at: string | null; updated_at: string | null };
export type Email = UserUpdatedV1.EmailDocument;

interface Event {
  /** The same on every delivery. */
  readonly eventId: string;
  /** When it happened at Clerk, RFC 3339. */
  readonly time: string | undefined;
}

/** A user was seen for the first time. */
export interface UserCreated extends Event {
  readonly kind: "created";
  readonly userId: string;
  readonly version: number;
  readonly user: Profile;
}

/** A user changed; `changed` names the fields of `user` that differ from the version before. */
export interface UserUpdated extends Event {
  readonly kind: "updated";
  readonly userId: string;
  readonly version: number;
  readonly user: Profile;
  readonly changed: readonly string[];
}

/** A user was deleted permanently: erase your data about them. The event contains no personal data. */
export interface UserDeleted extends Event {
  readonly kind: "deleted";
  readonly userId: string;
  readonly version: number;
  readonly deletedAt: string | undefined;
}

/** A session ended permanently: refuse every token that names it. */
export interface SessionRevoked extends Event {
  readonly kind: "session-revoked";
  readonly sessionId: string;
  readonly userId: string | undefined;
  readonly revokedAt: string | undefined;
}

/** An event of a type that this version of the package does not know: skip it, or update the package. */
export interface UnknownEvent {
  readonly kind: "unknown";
  readonly eventId: string;
  readonly type: string;
}

export type UserEvent = UserCreated | UserUpdated | UserDeleted;

/** The message is not a readable event; the text says why and contains no personal data. */
export class UnusableEvent extends Error {
  override readonly name = "UnusableEvent";
}

type HeaderValue = Uint8Array | string | null | undefined;

/**
 * Headers as Kafka clients give them: an object by name (kafkajs; an array is a header that comes several times), a
 * Map (@platformatic/kafka), or pairs.
 */
export type Headers =
  | { readonly [name: string]: HeaderValue | readonly HeaderValue[] }
  | Iterable<readonly [string | Uint8Array, HeaderValue]>
  | null
  | undefined;

/** The parts of a Kafka record that are used; records of kafkajs and @platformatic/kafka have them. */
export interface KafkaRecord {
  readonly headers?: Headers;
  readonly value?: Uint8Array | null | undefined;
}

/**
 * The user event in a Kafka record.
 *
 * Unknown fields and headers are ignored, absent optional ones have their default, and an
 * unknown `ce_type` (a later version, another kind) is an `UnknownEvent`, not an error.
 *
 * Throws `UnusableEvent`: it is not a CloudEvent in binary mode, its data does not fit its type, or its headers
 * contradict each other or the data. Nothing else is thrown, whatever the record contains.
 */
export function decode({ headers, value }: KafkaRecord): UserEvent | UnknownEvent {
  const attributes = attributesOf(headers);
  const { eventId, type } = attributes;
  if (type !== CREATED_V1 && type !== UPDATED_V1 && type !== DELETED_V1) return { kind: "unknown", eventId, type };
  const data = new Fields(type, value);
  const base = { eventId, time: timeIn(attributes) };
  const user = data.object("user");
  const event: UserEvent =
    type === DELETED_V1
      ? {
          ...base,
          kind: "deleted",
          userId: user.text("id"),
          version: user.version(),
          deletedAt: user.optionalTime("deleted_at") ?? undefined,
        }
      : changedIn(type, base, user, [...new Set(data.texts("changed"))]);
  if (userIdIn(attributes) !== event.userId) {
    throw new UnusableEvent("the header ce_subject is not the id of the user in the data");
  }
  if (versionIn(attributes) !== event.version) {
    throw new UnusableEvent("the header ce_sequence is not the version of the user in the data");
  }
  return event;
}

function changedIn(type: string, base: Event, user: Fields, changed: readonly string[]): UserCreated | UserUpdated {
  return type === CREATED_V1
    ? { ...base, kind: "created", ...profileIn(user) }
    : { ...base, kind: "updated", ...profileIn(user), changed };
}

/** The event in a record of the session topic; tolerant as `decode`, with the same errors. */
export function decodeSession({ headers, value }: KafkaRecord): SessionRevoked | UnknownEvent {
  const attributes = attributesOf(headers);
  const { eventId, type } = attributes;
  if (type !== REVOKED_V1) return { kind: "unknown", eventId, type };
  const session = new Fields(type, value).object("session");
  const sessionId = session.text("id");
  if (sessionId === "" || [...sessionId].length > 255) {
    throw new UnusableEvent(`the data of ${type}: the session id is empty or too long`);
  }
  const time = attributes.all.get("ce_time");
  return {
    kind: "session-revoked",
    eventId,
    time: time !== undefined && isTime(time) ? time : undefined, // it has ended, whenever that was
    sessionId,
    userId: session.optionalText("user_id") ?? undefined,
    revokedAt: session.optionalTime("revoked_at") ?? undefined,
  };
}

export function profileIn(user: Fields): { userId: string; version: number; user: Profile } {
  const profile: Profile = {
    id: user.text("id"),
    version: user.version(),
    email: user.optionalText("email"),
    email_verified: user.flag("email_verified"),
    emails: user.objects("emails").map((entry) => ({
      id: entry.text("id"),
      email: entry.text("email"),
      verified: entry.flag("verified"),
      status: entry.optionalText("status"),
    })),
    phone: user.optionalText("phone"),
    username: user.optionalText("username"),
    first_name: user.optionalText("first_name"),
    last_name: user.optionalText("last_name"),
    image_url: user.optionalText("image_url"),
    external_id: user.optionalText("external_id"),
    public_metadata: user.anyObject("public_metadata"),
    banned: user.flag("banned"),
    locked: user.flag("locked"),
    created_at: user.optionalTime("created_at") as string,
    updated_at: user.optionalTime("updated_at") as string,
  };
  return { userId: profile.id, version: profile.version, user: profile };
}

/** The event's attributes: those that every event has, and the rest by header name. */
export interface Attributes {
  readonly eventId: string;
  readonly type: string;
  readonly all: ReadonlyMap<string, string>;
}

/** Throws `UnusableEvent`: it is not a CloudEvent in binary mode. */
export function attributesOf(headers: Headers): Attributes {
  const all = texts(headers);
  if (all.get("content-type")?.startsWith("application/cloudevents")) {
    throw new UnusableEvent("a CloudEvent in structured mode; this topic carries binary mode");
  }
  if (all.get("ce_specversion") !== "1.0") {
    throw new UnusableEvent("no CloudEvent 1.0: the header ce_specversion is missing or another");
  }
  const eventId = all.get("ce_id");
  const type = all.get("ce_type");
  if (!eventId || !type) throw new UnusableEvent("the header ce_id or ce_type is missing");
  return { eventId, type, all };
}

/** The user's version, from the header: from 1 to the largest integer that a JavaScript number represents exactly. */
export function versionIn({ all }: Attributes): number {
  const sequence = all.get("ce_sequence") ?? "";
  const version = /^[0-9]{1,40}$/.test(sequence) ? Number(sequence) : 0;
  if (version < 1 || !Number.isSafeInteger(version)) throw new UnusableEvent("the header ce_sequence is not a version");
  return version;
}

/** The user's id, from the header: visible ASCII, which is safe in keys, columns and logs. */
export function userIdIn({ all }: Attributes): string {
  const userId = all.get("ce_subject") ?? "";
  if (!/^[!-~]{1,255}$/.test(userId)) throw new UnusableEvent("the header ce_subject is not a user id");
  return userId;
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** In Kafka a header may have no value, and a name may come twice. */
function texts(headers: Headers): Map<string, string> {
  const found = new Map<string, string>();
  for (const [name, value] of pairs(headers)) {
    if (value === null || value === undefined || !/^(ce_|content-type)/.test(name)) continue;
    const text = typeof value === "string" ? value : utf8(value);
    if (text === undefined || /\p{Surrogate}/u.test(text)) {
      throw new UnusableEvent("the headers are not pairs of a name and UTF-8");
    }
    if ((found.get(name) ?? text) !== text) {
      throw new UnusableEvent(`the header ${JSON.stringify(name.slice(0, 40))} comes twice, with two values`);
    }
    found.set(name, text);
  }
  return found;
}

function* pairs(headers: Headers): Generator<readonly [string, HeaderValue]> {
  if (headers === null || headers === undefined) return;
  if (Symbol.iterator in headers) {
    for (const [name, value] of headers as Iterable<readonly [string | Uint8Array, HeaderValue]>) {
      // A name that is not UTF-8 is not an attribute of the event.
      yield [typeof name === "string" ? name : (utf8(name) ?? ""), value];
    }
    return;
  }
  for (const [name, value] of Object.entries(headers)) {
    for (const each of Array.isArray(value) ? value : [value]) yield [name, each as HeaderValue];
  }
}

function utf8(bytes: Uint8Array): string | undefined {
  try {
    return UTF8.decode(bytes);
  } catch {
    return undefined;
  }
}

function timeIn({ all }: Attributes): string | undefined {
  const time = all.get("ce_time");
  if (time !== undefined && !isTime(time)) throw new UnusableEvent("the header ce_time is not RFC 3339");
  return time;
}

function isTime(text: string): boolean {
  const form = /^(?!0000)\d{4}-\d\d-(\d\d)[Tt ](?!24)\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)$/.exec(text);
  if (form === null) return false;
  const date = new Date(`${text.slice(0, 10)}T00:00:00Z`);
  // `Date` would turn February 30 into March 1.
  return !Number.isNaN(date.getTime()) && date.getUTCDate() === Number(form[1]) && !Number.isNaN(Date.parse(text));
}

/** Readers for the data of an event: each returns the value or its default, and refuses a wrong type. */
export class Fields {
  readonly #of: string;
  readonly #object: JsonObject;

  constructor(of: string, value: Uint8Array | null | undefined, object?: JsonObject) {
    if (value === null && object === undefined) throw new UnusableEvent(`an event ${of} without data`);
    const found = object ?? (value && decodedObject(value, DEEPEST));
    if (!found) throw new UnusableEvent(`the data of ${of}: not a JSON object`);
    this.#of = of;
    this.#object = found;
  }

  text(name: string): string {
    return this.#checked(name, (value) => typeof value === "string") as string;
  }

  optionalText(name: string): string | null {
    return (this.#checked(name, (value) => value == null || typeof value === "string") ?? null) as string | null;
  }

  optionalTime(name: string): string | null {
    const time = this.optionalText(name);
    if (time !== null && !isTime(time)) throw this.#wrong(name);
    return time;
  }

  flag(name: string): boolean {
    return (this.#checked(name, (value) => value === undefined || typeof value === "boolean") ?? false) as boolean;
  }

  version(): number {
    return this.#checked("version", () => isInteger(this.#object, "version")) as number;
  }

  texts(name: string): string[] {
    return (this.#checked(
      name,
      (value) => value === undefined || (Array.isArray(value) && value.every((each) => typeof each === "string")),
    ) ?? []) as string[];
  }

  anyObject(name: string): { [name: string]: unknown } {
    // A copy with a prototype, as callers expect.
    return structuredClone(this.#checked(name, (value) => value === undefined || isObject(value)) ?? {}) as JsonObject;
  }

  object(name: string): Fields {
    return new Fields(this.#of, null, this.#checked(name, isObject) as JsonObject);
  }

  objects(name: string): Fields[] {
    const entries = this.#checked(
      name,
      (value) => value === undefined || (Array.isArray(value) && value.every(isObject)),
    );
    return ((entries ?? []) as JsonObject[]).map((entry) => new Fields(this.#of, null, entry));
  }

  #checked(name: string, isRight: (value: unknown) => boolean): unknown {
    const value = this.#object[name];
    if (!isRight(value)) throw this.#wrong(name);
    return value;
  }

  #wrong(name: string): UnusableEvent {
    return new UnusableEvent(`the data of ${this.#of}: ${name} does not have the form it must have`);
  }
}
