// The same inputs as the Python SDK's, and its decisions: VECTORS names the file, which tests/support/sdk_vectors.py made.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { once } from "node:events";
import { after, before, test } from "node:test";

import {
  JwksKeys,
  KeysUnavailable,
  OriginRefused,
  PemKey,
  Refused,
  RequestVerifier,
  Rules,
  serializedOrigin,
  SessionVerifier,
  TokenRejected,
} from "../dist/index.js";
import { InMemoryLastSeen, UserEvents } from "../dist/consumer.js";
import { decode, decodeSession, UnusableEvent } from "../dist/events.js";
import { Revoked } from "../dist/revoked.js";
import { decodeState, UserStates } from "../dist/state.js";

const vectors = JSON.parse(readFileSync(process.env.VECTORS, "utf-8"));
const { now, issuer, party, suffix, pem } = vectors.settings;
const options = { issuer, authorizedParties: [party], now: () => now };
const withPem = new SessionVerifier(new PemKey(pem), options);

let server;
before(async () => {
  server = createServer((_, response) => response.end(JSON.stringify(vectors.jwks))).listen(0, "127.0.0.1");
  await once(server, "listening");
});
after(() => server.close());

async function decided(decision) {
  try {
    return await decision();
  } catch (error) {
    if (error instanceof TokenRejected) return error.reason;
    if (error instanceof OriginRefused) return "origin-refused";
    if (error instanceof KeysUnavailable) return "unavailable";
    throw error;
  }
}

function differences(cases, shown, found) {
  return cases.flatMap((each, index) =>
    found[index] === each.expected ? [] : [{ [shown]: each[shown], expected: each.expected, found: found[index] }],
  );
}

test("each token of the table gets its verdict with a PEM key", async () => {
  const verdict = ({ token }) => decided(async () => (await withPem.verify(token)) && "accepted");
  assert.deepEqual(differences(vectors.tokens, "name", await Promise.all(vectors.tokens.map(verdict))), []);
});

test("each token of the table gets its verdict with a key set", async () => {
  const keys = new JwksKeys(`http://127.0.0.1:${server.address().port}/jwks.json`);
  const withJwks = new SessionVerifier(keys, options);
  const cases = vectors.tokens.map((each) => ({ ...each, expected: each.with_jwks ?? each.expected }));
  const verdict = ({ token }) => decided(async () => (await withJwks.verify(token)) && "accepted");
  assert.deepEqual(differences(cases, "name", await Promise.all(cases.map(verdict))), []);
  assert.ok(keys.state.fetches <= 2);
});

test("tokens that nobody has seen before are decided as in Python, and say the same of the caller", async () => {
  for (const { name, token, expected, identity, description } of vectors.unseen_tokens) {
    try {
      const who = await withPem.verify(token);
      const { organization: o } = who;
      assert.deepEqual(
        {
          userId: who.userId,
          sessionId: who.sessionId,
          expiresAt: who.expiresAt,
          issuedAt: who.issuedAt ?? null,
          authorizedParty: who.authorizedParty ?? null,
          actorId: who.actorId ?? null,
          factorAges: [who.firstFactorAgeMinutes ?? null, who.secondFactorAgeMinutes ?? null],
          organization: o ? [o.id, o.slug ?? null, o.role ?? null, [...o.permissions].sort()] : null,
        },
        identity,
        name,
      );
      assert.equal(expected, "accepted", name);
    } catch (error) {
      if (!(error instanceof TokenRejected)) throw error;
      assert.deepEqual([error.reason, error.description], [expected, description], name);
    }
  }
});

test("requests are decided as in Python", async () => {
  const requests = new RequestVerifier(withPem, { cookieSuffix: suffix });
  for (const { headers, ignoreBadCookies, expected } of vectors.requests) {
    const found = await decided(
      async () => (await requests.verify(headers.flat(), { ignoreBadCookies }))?.userId ?? "nobody",
    );
    assert.equal(found, expected, JSON.stringify(headers));
  }
});

const RULES = {
  "/": "optional",
  "/docs/*": "public",
  "/admin/*": { role: "org:admin" },
  "/admin/billing/*": { permission: "org:billing:read" },
  "/admin/health": "public",
  "/Straße": { inPerson: true },
  "/café/*": { organization: "org_1" },
};

function ruleOf(rules, target, routesDecoded) {
  try {
    const rule = rules.of(Buffer.from(target).toString("latin1"), { routesDecoded });
    const named = Object.entries(RULES).find(([, known]) => JSON.stringify(known) === JSON.stringify(rule));
    return named?.[0] ?? "default";
  } catch (error) {
    if (error instanceof Refused) return "ambiguous";
    throw error;
  }
}

test("paths come under the same rules as in Python; Express, which routes undecoded, refuses more and decides nothing else", () => {
  const rules = new Rules(RULES, "required");
  for (const { target, rule } of vectors.paths) {
    assert.equal(ruleOf(rules, target, true), rule, target);
    assert.ok([rule, "ambiguous"].includes(ruleOf(rules, target, false)), target);
  }
  assert.equal(ruleOf(rules, "/%64ocs/x", true), "/docs/*");
  assert.equal(ruleOf(rules, "/%64ocs/x", false), "ambiguous");
  assert.equal(ruleOf(rules, "/docs/%64", false), "/docs/*");
  assert.equal(ruleOf(rules, "/caf%C3%A9/x", false), "/café/*");
});

test("the same texts are PEM keys as in Python", () => {
  const accepted = ({ text }) => {
    try {
      return Boolean(new PemKey(text));
    } catch (error) {
      if (error instanceof TypeError) return false;
      throw error;
    }
  };
  for (const each of vectors.pems) assert.equal(accepted(each), each.accepted, each.text);
});

test("origins are written as in Python", () => {
  const written = ({ text }) => {
    try {
      return serializedOrigin(text);
    } catch (error) {
      if (error instanceof TypeError) return null;
      throw error;
    }
  };
  for (const each of vectors.origins) assert.equal(written(each), each.origin, each.text);
});

const bytes = (text) => (text === null ? null : Buffer.from(text, "base64"));
const SHAPES = {
  pairs: (headers) => headers,
  // As @platformatic/kafka: names are buffers, so that one may come twice.
  map: (headers) => new Map(headers.map(([name, value]) => [Buffer.from(name), value])),
  // As kafkajs: a name that comes twice has an array.
  object: (headers) =>
    headers.reduce((all, [name, value]) => ({ ...all, [name]: name in all ? [all[name], value] : value }), {}),
};

for (const [shape, shaped] of Object.entries(SHAPES)) {
  test(`each record of the table comes to what it must, with headers as ${shape}`, async () => {
    for (const { name, after: last, expected, headers, value } of vectors.records) {
      const lastSeen = new InMemoryLastSeen();
      lastSeen.remember("user_a", last);
      const unusable = [];
      const handled = [];
      const events = new UserEvents(lastSeen, { onUnusable: (error) => void unusable.push(error) });
      const record = { headers: shaped(headers.map(([key, text]) => [key, bytes(text)])), value: bytes(value) };
      assert.equal(await events.deliver(record, (event) => void handled.push(event)), expected, name);
      assert.equal(handled.length, expected === "handled" ? 1 : 0, name);
      assert.equal(unusable.length, expected === "unusable" ? 1 : 0, name);
    }
  });
}

function kind(decide) {
  try {
    return decide();
  } catch (error) {
    if (error instanceof UnusableEvent) return "unusable";
    throw error;
  }
}

test("records of the session topic are read as in Python", () => {
  for (const { expected, headers, value } of vectors.sessions) {
    const found = kind(() => {
      const event = decodeSession({ headers: headers.map(([name, text]) => [name, bytes(text)]), value: bytes(value) });
      return event.kind === "unknown" ? "unknown" : `${event.sessionId} ${event.userId ?? "None"}`;
    });
    assert.equal(found, expected, JSON.stringify([headers, String(bytes(value))]));
  }
});

test("records of the state topic are read as in Python", () => {
  const names = { state: "UserState", gone: "UserGone", unknown: "UnknownEvent" };
  for (const { expected, key, headers, value } of vectors.states) {
    const record = {
      key: bytes(key),
      headers: headers.map(([name, text]) => [name, bytes(text)]),
      value: bytes(value),
    };
    const found = kind(() => names[decodeState(record).kind]);
    assert.equal(found, expected, JSON.stringify([key, headers, String(bytes(value))]));
  }
});

test("the same records, in any order and number, come to the same state as in Python", async () => {
  for (const { records, handled, users, verdicts } of vectors.histories) {
    const states = new UserStates();
    const revoked = new Revoked({ keep: 60, most: 100 });
    const found = [];
    const events = new UserEvents(new InMemoryLastSeen(), { onUnusable: () => undefined });
    for (const { event, key, headers, value } of records) {
      const record = {
        key: bytes(key),
        headers: headers.map(([name, text]) => [name, bytes(text)]),
        value: bytes(value),
      };
      kind(() => {
        if (event === "state" || event === "gone") states.apply(decodeState(record));
        else if (event === "revoked") applied(decodeSession(record), revoked);
        else {
          states.apply(decode(record));
          applied(decode(record), revoked);
        }
      });
      if (["created", "updated", "deleted"].includes(event)) {
        await events.deliver(record, ({ userId, version, kind: name }) => {
          found.push(`${userId} ${version} User${name[0].toUpperCase()}${name.slice(1)}`);
        });
      }
    }
    const living = [...states.users].map(([id, user]) => [id, [user.version, user.first_name, user.banned]]);
    const found_verdicts = ["sess_1", "sess_2"].flatMap((session) =>
      ["user_a", "user_b", "user_c"].map((user) => revoked.verdict(session, user) ?? null),
    );
    assert.deepEqual([found, Object.fromEntries(living), found_verdicts], [handled, users, verdicts]);
  }
});

function applied(event, revoked) {
  if (event.kind !== "unknown") revoked.apply(event, 0);
}
