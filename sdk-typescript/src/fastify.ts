/** Plugin for Fastify that lets only authorized requests reach a route. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";

import { checkedRule, type Requirement } from "./access.js";
import { Guard, remember, remembered, required, type AuthOptions } from "./guard.js";
import type { Authenticated } from "./identity.js";
import { problemBody, problemHeaders, problemOf } from "./problems.js";

/**
 * The plugin: `await app.register(auth, { verifier, rules })`, before all routes.
 *
 * A refused caller gets `application/problem+json` with 401, 403 or 503; a path that programs read in
 * different ways is answered 400, whatever its rule. CORS preflights get no exception, because any client can send a
 * request that looks like one: register @fastify/cors before this. Rules are for whole paths, with plugin prefixes.
 *
 * Throws `TypeError`: cookies without authorized parties, or invalid rules.
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

// Makes the hook apply to all routes of the instance it is registered on (as the package fastify-plugin does).
Object.assign(auth, { [Symbol.for("skip-override")]: true, [Symbol.for("fastify.display-name")]: "@anomalyze/auth" });

/** The caller; undefined for an anonymous one. Throws `Error`: the plugin is not registered. */
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
  // As bytes: Fastify adds a charset to a text, which this media type does not have (RFC 9457 section 6.1).
  return reply
    .code(problem.status)
    .headers(problemHeaders(problem))
    .send(Buffer.from(problemBody(problem)));
}
