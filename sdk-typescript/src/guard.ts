/** The common part of all framework middleware: who is authorized, and the answers to others. */

import type { IncomingMessage, ServerResponse } from "node:http";

import { OPTIONAL, PUBLIC, REQUIRED, refusal, type Requirement, type Rule } from "./access.js";
import type { Authenticated } from "./identity.js";
import { Rules } from "./paths.js";
import { problemBody, problemHeaders, problemOf, Refused, TOKEN_MISSING, type Problem } from "./problems.js";
import { RequestVerifier, type RequestVerifierOptions } from "./requestVerifier.js";
import type { SessionVerifier } from "./verifier.js";

export interface AuthOptions extends RequestVerifierOptions {
  /** Decides about tokens. */
  readonly verifier: SessionVerifier;
  /**
   * Exceptions to `default` by path, for example
   * `{ "/health": PUBLIC, "/billing/*": { permission: "org:billing:manage" } }`; see the README.
   */
  readonly rules?: { readonly [path: string]: Rule };
  /** For all other paths; REQUIRED if left out. */
  readonly default?: Rule;
}

export class Guard {
  readonly #requests: RequestVerifier;
  readonly #rules: Rules;

  constructor({ verifier, rules = {}, default: defaultRule = REQUIRED, ...options }: AuthOptions) {
    this.#requests = new RequestVerifier(verifier, options);
    this.#rules = new Rules(rules, defaultRule);
  }

  /**
   * The caller of this request; undefined for an anonymous one. Throws errors that `problemOf` can answer.
   *
   * `target` is the path and query that the framework routes by.
   */
  async letIn(
    request: IncomingMessage,
    target: string,
    options: { readonly routesDecoded: boolean },
  ): Promise<Authenticated | undefined> {
    const rule = this.#rules.of(target, options);
    if (rule === PUBLIC) return undefined;
    // Browsers send cookies by themselves, and those may be out of date; a Bearer token is sent on purpose.
    const caller = await this.#requests.verify(request.rawHeaders, { ignoreBadCookies: rule === OPTIONAL });
    if (caller === undefined && rule !== OPTIONAL) throw new Refused(TOKEN_MISSING);
    if (caller !== undefined && typeof rule === "object") demand(rule, caller);
    return caller;
  }
}

/** Throws `Refused`: the caller does not meet the requirement. */
export function demand(requirement: Requirement, caller: Authenticated): void {
  const problem = refusal(requirement, caller);
  if (problem !== undefined) throw new Refused(problem);
}

/** The answer to this error; any other kind of error is thrown again. */
export function answerTo(error: unknown): Problem {
  const problem = problemOf(error);
  if (problem === undefined) throw error;
  return problem;
}

export function send(response: ServerResponse, problem: Problem): void {
  const body = Buffer.from(problemBody(problem));
  response.statusCode = problem.status;
  for (const [name, value] of Object.entries(problemHeaders(problem))) response.setHeader(name, value);
  response.setHeader("content-length", body.length);
  response.end(response.req?.method === "HEAD" ? undefined : body);
}

const identities = new WeakMap<object, { readonly caller: Authenticated | undefined }>();

export function remember(request: object, caller: Authenticated | undefined): void {
  identities.set(request, { caller });
}

/** Throws `Error`: the request did not pass the middleware; otherwise a missing middleware would mean no check. */
export function remembered(request: object): Authenticated | undefined {
  const found = identities.get(request);
  if (found === undefined) throw new Error("The middleware of @anomalyze/auth is not installed around this route.");
  return found.caller;
}

/** Throws `Refused`: the caller is anonymous or does not meet the requirement. */
export function required(request: object, requirement: Requirement | undefined): Authenticated {
  const caller = remembered(request);
  if (caller === undefined) throw new Refused(TOKEN_MISSING);
  if (requirement !== undefined) demand(requirement, caller);
  return caller;
}
