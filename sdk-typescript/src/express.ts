/** Middleware for Express that lets only authorized requests reach the application. */

import type { IncomingMessage, ServerResponse } from "node:http";

import { checkedRule, type Requirement } from "./access.js";
import { answerTo, Guard, remember, remembered, required, send, type AuthOptions } from "./guard.js";
import type { Authenticated } from "./identity.js";

/** A middleware of Express, Connect, or whatever calls `(request, response, next)`. */
export type Middleware = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void;

/**
 * The middleware: `app.use(authenticate({ verifier, rules }))`, before all routes.
 *
 * A refused caller gets `application/problem+json` with 401, 403 or 503; a path that programs read in
 * different ways is answered 400, whatever its rule. CORS preflights get no exception, because any client can send a
 * request that looks like one: put the CORS middleware before this one. Rules are relative to where it is mounted.
 *
 * Throws `TypeError`: cookies without authorized parties, or invalid rules.
 */
export function authenticate(options: AuthOptions): Middleware {
  const guard = new Guard(options);
  return (request, response, next) => {
    // Not `originalUrl`: Express routes by `url`, which is relative below a mount and may have been rewritten.
    guard.letIn(request, request.url ?? "", { routesDecoded: false }).then(
      (caller) => {
        remember(request, caller);
        next();
      },
      (error: unknown) => answered(error, response, next),
    );
  };
}

/** The caller; undefined for an anonymous one. Throws `Error`: `authenticate` is not installed before this. */
export function identityOf(request: IncomingMessage): Authenticated | undefined {
  return remembered(request);
}

/** The caller, who must be signed in: throws `Refused` otherwise, which `refusals` answers. */
export function callerOf(request: IncomingMessage, requirement?: Requirement): Authenticated {
  return required(request, requirement);
}

/** A middleware for one route: `app.get("/report", requires({ permission: "org:billing:read" }), …)`. */
export function requires(requirement: Requirement): Middleware {
  const checked = checkedRule(requirement) as Requirement;
  return (request, response, next) => {
    try {
      required(request, checked);
    } catch (error) {
      answered(error, response, next);
      return;
    }
    next();
  };
}

/** Answers what `callerOf` throws: `app.use(refusals)`, after all routes. */
export function refusals(
  error: unknown,
  _request: IncomingMessage,
  response: ServerResponse,
  next: (error?: unknown) => void,
): void {
  answered(error, response, next);
}

function answered(error: unknown, response: ServerResponse, next: (error?: unknown) => void): void {
  if (response.headersSent) return next(error);
  try {
    send(response, answerTo(error));
  } catch (other) {
    next(other);
  }
}
