/** Fastify: no request gets to a route unless its caller is let in. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";

import { checkedRule, type Requirement } from "./access.js";
import { Guard, remember, remembered, required, type AuthOptions } from "./guard.js";
import type { Authenticated } from "./identity.js";
import { problemBody, problemHeaders, problemOf } from "./problems.js";

/**
 * The plugin: `await app.register(auth, { verifier, rules })`, before all routes.
 *
 * A caller who is not let in gets `application/problem+json` with 401, 403 or 503; a path that programs read in
 * different ways is answered 400, whatever its rule. CORS preflights are requests like others, since anybody can send
 * what looks like one: register @fastify/cors before this. Whole paths count, prefixes of plugins included.
 *
 * Throws `TypeError`: cookies without authorized parties, or rules that are none.
 */
export async function auth(app: FastifyInstance, options: AuthOptions): Promise<void> {
  const guard = new Guard(options);
  app.addHook("onRequest", async (request, reply) => {
    try {
      remember(request, await guard.letIn(request.raw, request.raw.url ?? "", { routesDecoded: true }));
    } catch (error) {
      return answered(error, reply);
    }
  });
}

// So that the hook is for all routes of the instance it is registered on (what the package fastify-plugin sets).
Object.assign(auth, { [Symbol.for("skip-override")]: true, [Symbol.for("fastify.display-name")]: "@anomalyze/auth" });

/** Who is calling; undefined where nobody need be. Throws `Error`: the plugin is not registered. */
export function identityOf(request: FastifyRequest): Authenticated | undefined {
  return remembered(request);
}

/** A hook for one route: `app.get("/report", { preHandler: requires({ permission: "org:billing:read" }) }, …)`. */
export function requires(
  requirement?: Requirement,
): (request: FastifyRequest, reply: FastifyReply) => Promise<unknown> {
  const checked = requirement && (checkedRule(requirement) as Requirement);
  return async (request, reply) => {
    try {
      required(request, checked);
    } catch (error) {
      return answered(error, reply);
    }
    return undefined;
  };
}

function answered(error: unknown, reply: FastifyReply): FastifyReply {
  const problem = problemOf(error);
  if (problem === undefined) throw error;
  // As bytes: to a text Fastify would add a charset, which the media type does not have (RFC 9457 section 6.1).
  return reply
    .code(problem.status)
    .headers(problemHeaders(problem))
    .send(Buffer.from(problemBody(problem)));
}
