/** A client for the HTTP API of auth-service under /v1, typed from its OpenAPI document. */

import type { ProblemCodes } from "./generated/codes.js";
import type { components } from "./generated/openapi.js";

export type Profile = components["schemas"]["ProfileDocument"];
export type Action = components["schemas"]["ActionDocument"];
export type Users = components["schemas"]["UsersDocument"];
export type SessionsRevoked = components["schemas"]["RevokedDocument"];

/**
 * An error answer with its stable `code`; use `switch (problem.code)`.
 *
 * `no-problem-document` comes from this client: the answer is not from the service (a proxy's page), or not readable.
 */
export type ProblemOf<Code extends string> = Code extends string
  ? {
      readonly code: Code;
      readonly status: number;
      readonly title: string;
      readonly detail: string;
      /** Why a token was refused, with `token-not-valid`. */
      readonly reason: string | undefined;
      /** Clerk's own codes, with `identity-provider-refused`. */
      readonly codes: readonly string[];
      /** Seconds to wait, where the service says so (503). */
      readonly retryAfterSeconds: number | undefined;
    }
  : never;

/** Either the data or the problem. The promise rejects only for a failed connection or an aborted request. */
export type Answer<Data, Code extends string> =
  | { readonly ok: true; readonly status: number; readonly data: Data; readonly etag: string | undefined }
  | { readonly ok: false; readonly problem: ProblemOf<Code | "no-problem-document"> };

type Operation = keyof ProblemCodes;

export interface AuthServiceOptions {
  /** The URL of the service, for example `http://auth-service:3002`. */
  readonly baseUrl: string;
  /**
   * Returns the Bearer credential for each request: the session token of a user, or the key of your
   * service (`ask_…`), which managing users needs.
   */
  readonly credential: string | (() => string | Promise<string>);
  /** Timeout of a whole request in seconds; 10 by default. */
  readonly timeout?: number;
  readonly fetch?: typeof fetch;
}

/** The newest version of a user that the caller has seen. */
export interface Floor {
  /** A version from an event or a profile. The answer is never older; it may be `version-not-reached`. */
  readonly minVersion?: number | undefined;
}

/** Throws `TypeError`: `baseUrl` is not an http(s) URL. */
export class AuthService {
  readonly #options: AuthServiceOptions;
  readonly #base: string;

  constructor(options: AuthServiceOptions) {
    const url = new URL(options.baseUrl);
    if (url.protocol !== "http:" && url.protocol !== "https:") throw new TypeError("baseUrl is not an http(s) URL");
    this.#options = options;
    this.#base = `${url.origin}${url.pathname.replace(/\/$/, "")}`;
  }

  /** The user whose session token is the credential. With the `etag` of an earlier answer, `data` may be null: unchanged. */
  me(options?: Floor): Promise<Answer<Profile, ProblemCodes["GET /v1/me"]>>;
  me(options: Floor & { readonly etag: string }): Promise<Answer<Profile | null, ProblemCodes["GET /v1/me"]>>;
  me({ etag, ...floor }: Floor & { readonly etag?: string } = {}): Promise<
    Answer<Profile | null, ProblemCodes["GET /v1/me"]>
  > {
    const headers: Record<string, string> = etag === undefined ? {} : { "if-none-match": etag };
    return this.#send("GET /v1/me", `/v1/me${query(floor)}`, { headers });
  }

  user(id: string, floor: Floor = {}): Promise<Answer<Profile, ProblemCodes["GET /v1/users/{user_id}"]>> {
    return this.#send("GET /v1/users/{user_id}", `/v1/users/${encodeURIComponent(id)}${query(floor)}`);
  }

  /** Up to 100 users by id, or all with this primary email, which is not unique. */
  users(
    by: ({ readonly ids: readonly string[] } & Floor) | { readonly email: string },
  ): Promise<Answer<Users, ProblemCodes["GET /v1/users"]>> {
    const asked = "ids" in by ? query(by, { ids: by.ids.join(",") }) : query({}, { email: by.email });
    return this.#send("GET /v1/users", `/v1/users${asked}`);
  }

  ban(id: string): Promise<Answer<Action, ProblemCodes["POST /v1/users/{user_id}/ban"]>> {
    return this.#act("ban", id);
  }

  unban(id: string): Promise<Answer<Action, ProblemCodes["POST /v1/users/{user_id}/unban"]>> {
    return this.#act("unban", id);
  }

  lock(id: string): Promise<Answer<Action, ProblemCodes["POST /v1/users/{user_id}/lock"]>> {
    return this.#act("lock", id);
  }

  unlock(id: string): Promise<Answer<Action, ProblemCodes["POST /v1/users/{user_id}/unlock"]>> {
    return this.#act("unlock", id);
  }

  /** Read the user from Clerk and store the result. */
  sync(id: string): Promise<Answer<Action, ProblemCodes["POST /v1/users/{user_id}/sync"]>> {
    return this.#act("sync", id);
  }

  /** Merges as Clerk does; a value of null removes the key. */
  setMetadata(
    id: string,
    publicMetadata: { readonly [name: string]: unknown },
  ): Promise<Answer<Action, ProblemCodes["POST /v1/users/{user_id}/set-metadata"]>> {
    return this.#act("set-metadata", id, { public_metadata: publicMetadata });
  }

  /** End all sessions of the user. */
  revokeSessions(
    id: string,
  ): Promise<Answer<SessionsRevoked, ProblemCodes["POST /v1/users/{user_id}/revoke-sessions"]>> {
    return this.#act("revoke-sessions", id);
  }

  /** Delete the user permanently, at Clerk too. */
  delete(id: string): Promise<Answer<Action, ProblemCodes["POST /v1/users/{user_id}/delete"]>> {
    return this.#act("delete", id);
  }

  #act<Data, Code extends string>(action: string, id: string, body?: object): Promise<Answer<Data, Code>> {
    return this.#send(
      `POST /v1/users/{user_id}/${action}` as Operation,
      `/v1/users/${encodeURIComponent(id)}/${action}`,
      {
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        headers: body === undefined ? {} : { "content-type": "application/json" },
      },
    );
  }

  async #send<Data, Code extends string>(
    operation: Operation,
    target: string,
    init: { readonly headers?: Record<string, string>; readonly body?: string } = {},
  ): Promise<Answer<Data, Code>> {
    const { credential, timeout = 10, fetch: send = fetch } = this.#options;
    const response = await send(`${this.#base}${target}`, {
      ...init,
      method: operation.split(" ", 1)[0]!,
      headers: {
        accept: "application/json, application/problem+json",
        authorization: `Bearer ${typeof credential === "string" ? credential : await credential()}`,
        ...init.headers,
      },
      redirect: "manual",
      signal: AbortSignal.timeout(timeout * 1000),
    });
    const text = await response.text();
    const etag = response.headers.get("etag") ?? undefined;
    if (response.status === 304) return { ok: true, status: 304, data: null as Data, etag };
    const document = parsed(text);
    if (response.status === 200 && document !== undefined) {
      return { ok: true, status: 200, data: document as Data, etag };
    }
    return { ok: false, problem: problemIn(response, document) as ProblemOf<Code | "no-problem-document"> };
  }
}

function query({ minVersion }: Floor, named: Record<string, string> = {}): string {
  const floor = minVersion === undefined ? {} : { min_version: String(minVersion) };
  const parameters = new URLSearchParams({ ...named, ...floor }).toString();
  return parameters && `?${parameters}`;
}

function parsed(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function problemIn(response: Response, document: object | undefined): ProblemOf<string> {
  const { code, title, detail, reason, codes } = (document ?? {}) as { readonly [name: string]: unknown };
  const isProblem = response.headers.get("content-type")?.startsWith("application/problem+json") ?? false;
  const retryAfter = response.headers.get("retry-after");
  return {
    code: isProblem && typeof code === "string" ? code : "no-problem-document",
    status: response.status,
    title: isProblem && typeof title === "string" ? title : response.statusText,
    detail: isProblem && typeof detail === "string" ? detail : "The answer is not one of the auth service.",
    reason: typeof reason === "string" ? reason : undefined,
    codes: Array.isArray(codes) ? codes.map(String) : [],
    retryAfterSeconds: retryAfter !== null && /^\d+$/.test(retryAfter) ? Number(retryAfter) : undefined,
  };
}
