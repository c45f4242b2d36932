// A service behind the middleware: it says who is calling, and which of its routes that call came to.
import { PemKey, SessionVerifier } from "@anomalyze/auth";
import { Revocations } from "@anomalyze/auth/revocations";
import { Kafka, logLevel } from "kafkajs";

const [framework, settings] = process.argv.slice(2);
const { pem, issuer, parties, suffix, rules, kafka, sessions, users } = JSON.parse(settings);
const revocations = new Revocations(new Kafka({ brokers: [kafka], logLevel: logLevel.NOTHING }), {
  sessionTopic: sessions,
  userTopic: users,
});
const { current } = await revocations.start({ timeout: 60 });
if (!current) throw new Error(revocations.state.lastError);
const verifier = new SessionVerifier(new PemKey(pem), { issuer, authorizedParties: parties, revocations });
const options = { verifier, rules, cookieSuffix: suffix };

const ROUTES = ["/admin/health", "/admin/*", "/docs/*", "/health"];
const shown = (caller, route) => ({
  user: caller?.userId ?? null,
  session: caller?.sessionId ?? null,
  actor: caller?.actorId ?? null,
  organization: caller?.organization?.id ?? null,
  route,
});

async function express() {
  const { default: make } = await import("express");
  const { authenticate, callerOf, identityOf, refusals, requires } = await import("@anomalyze/auth/express");
  const app = make();
  app.use(authenticate(options));
  app.all("/report", requires({ permission: "org:billing:read" }), (request, response) => {
    response.json(shown(callerOf(request), "/report"));
  });
  app.all("/caller", (request, response) => void response.json(shown(callerOf(request), "/caller")));
  for (const route of ROUTES) {
    app.all(route.replace("/*", "{/*rest}"), (request, response) => void response.json(shown(identityOf(request), route)));
  }
  app.use((request, response) => void response.json(shown(identityOf(request), null)));
  app.use(refusals);
  return app.listen(0, "127.0.0.1");
}

async function fastify() {
  const { default: make } = await import("fastify");
  const { auth, identityOf, requires } = await import("@anomalyze/auth/fastify");
  const app = make();
  await app.register(auth, options);
  const handler = (route) => async (request) => shown(identityOf(request), route);
  app.all("/report", { preHandler: requires({ permission: "org:billing:read" }) }, handler("/report"));
  app.all("/caller", { preHandler: requires() }, handler("/caller"));
  for (const route of ROUTES) {
    app.all(route, handler(route));
    if (route.endsWith("/*")) app.all(route.slice(0, -2), handler(route));
  }
  app.setNotFoundHandler(async (request, reply) => reply.code(200).send(shown(identityOf(request), null)));
  await app.listen({ port: 0, host: "127.0.0.1" });
  return app.server;
}

const server = await { express, fastify }[framework]();
if (!server.listening) await new Promise((resolve) => server.once("listening", resolve));
console.log(server.address().port);
