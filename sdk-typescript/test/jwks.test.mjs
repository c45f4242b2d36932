// When keys are fetched, how often, how long they serve, and which answers are trusted: as sdk/tests/test_jwks*.py.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";

import { JwksKeys, SessionVerifier } from "../dist/index.js";
import { ISSUER, jwk, keyPair, KID, NOW, token, verdict } from "./tokens.mjs";

let server, url, requests, answer, seconds, said, keys, verifier;

const body =
  (data, { status = 200, ...headers } = {}) =>
  (response) =>
    response.writeHead(status, { "content-length": Buffer.byteLength(data), ...headers }).end(data);
const keySet = (...entries) => body(JSON.stringify({ keys: entries }));
const down = body("down", { status: 500 });
const hangs = () => undefined;

beforeEach(async () => {
  requests = [];
  answer = keySet(jwk());
  seconds = 1000;
  said = [];
  server = createServer((request, response) => {
    requests.push(request);
    answer(response);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${server.address().port}/.well-known/jwks.json`;
  begin(20);
});
function begin(timeout) {
  keys = new JwksKeys(url, { timeout, clock: () => seconds, onChange: (message) => said.push(message) });
  verifier = new SessionVerifier(keys, { issuer: ISSUER, now: () => NOW });
}
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, "close");
});

const all = (tokens) => Promise.all(tokens.map((each) => verdict(verifier, each)));

test("many first requests share one fetch", async () => {
  assert.deepEqual(new Set(await all(Array(50).fill(token()))), new Set(["accepted"]));
  assert.equal(requests.length, 1);
});

test("tokens that their form or header rules out never cause a fetch", async () => {
  const bad = [
    "garbage",
    "a.b.c",
    token({ header: { alg: "none" } }),
    token({ header: { alg: "HS256" } }),
    token({ header: { typ: "at+jwt" } }),
    token({ header: { cat: "cl_B7d4PD222AAA" } }),
    token({ header: { crit: ["x"] } }),
    token({ header: { kid: undefined } }),
    "x".repeat(50_000),
  ];
  const verdicts = await all(bad.flatMap((each) => Array(5).fill(each)));
  assert.ok(!verdicts.includes("accepted") && !verdicts.includes("unavailable"), String(verdicts));
  assert.equal(requests.length, 0);
});

test("a rotated key is found without a restart, and the old one is gone", async () => {
  assert.equal(await verdict(verifier, token()), "accepted");
  answer = keySet(jwk({ name: "rotated", kid: "ins_rotated" }));
  assert.equal(await verdict(verifier, token({ key: "rotated", kid: "ins_rotated" })), "accepted");
  assert.equal(await verdict(verifier, token()), "unknown-key");
  assert.equal(requests.length, 2);
});

test("a rotated key is found by the first request after a pause, which also renews the keys", async () => {
  for (const pause of [0, 239, 241, 299, 301, 4000]) {
    answer = keySet(jwk());
    await keys.refresh();
    answer = keySet(jwk({ name: "rotated", kid: "ins_rotated" }));
    const before = requests.length;
    seconds += pause;
    assert.equal(await verdict(verifier, token({ key: "rotated", kid: "ins_rotated" })), "accepted", String(pause));
    assert.equal(requests.length, before + 1, String(pause));
    seconds += 30;
  }
});

test("a flood of unknown kids fetches once in the cooldown", async () => {
  assert.equal(await verdict(verifier, token()), "accepted");
  const flood = Array.from({ length: 40 }, (_, number) => token({ key: "stranger", kid: `ins_${number}` }));
  for (let round = 0; round < 3; round += 1) {
    assert.deepEqual(new Set(await all(flood)), new Set(["unknown-key"]));
  }
  assert.equal(requests.length, 2);
  seconds += 29.9;
  await all(flood);
  assert.equal(requests.length, 2);
  seconds += 0.1;
  await all(flood);
  assert.equal(requests.length, 3);
  assert.equal(await verdict(verifier, token()), "accepted");
});

test("an unknown kid at the start costs one fetch, not two", async () => {
  assert.equal(await verdict(verifier, token({ key: "stranger", kid: "ins_x" })), "unknown-key");
  assert.equal(requests.length, 1);
});

test("a bad signature causes no fetch", async () => {
  await all([token(), ...Array(20).fill(token({ key: "stranger" }))]);
  assert.deepEqual(await all(Array(20).fill(token({ key: "stranger" }))), Array(20).fill("token-invalid-signature"));
  assert.equal(requests.length, 1);
});

test("keys are renewed in the background before they are old", async () => {
  await verdict(verifier, token());
  seconds += 239;
  await verdict(verifier, token());
  assert.equal(requests.length, 1);
  answer = hangs;
  seconds += 2;
  assert.equal(await verdict(verifier, token()), "accepted"); // although nobody answers the fetch
  assert.equal(keys.state.fetches, 2);
});

test("a key that was withdrawn while nobody asked is refused", async () => {
  await verdict(verifier, token());
  answer = keySet(jwk({ name: "rotated", kid: "ins_rotated" }));
  seconds += 301;
  assert.equal(await verdict(verifier, token()), "unknown-key");
});

test("in an outage the old keys serve for a bounded time, and then nothing is decided", async () => {
  await verdict(verifier, token());
  answer = down;
  seconds += 301;
  assert.equal(await verdict(verifier, token()), "accepted");
  assert.match(keys.state.lastError, /500/);
  assert.equal(await verdict(verifier, token({ key: "stranger", kid: "ins_new" })), "unavailable");
  seconds += 3590;
  assert.equal(await verdict(verifier, token()), "accepted");
  while (keys.state.failures < 2) await sleep(5);
  seconds += 10;
  assert.equal(keys.state.usable, false);
  assert.equal(await verdict(verifier, token()), "unavailable");
});

test("in an outage fetches are paced, and nobody waits for them", async () => {
  await verdict(verifier, token());
  answer = down;
  seconds += 301;
  await verdict(verifier, token());
  assert.equal(requests.length, 2);
  answer = hangs;
  seconds += 2;
  assert.deepEqual(await all(Array(20).fill(token())), Array(20).fill("accepted"));
  assert.deepEqual([keys.state.fetches, keys.state.failures], [3, 1]); // the third is still under way
});

test("keys come back by themselves after an outage, which is told once, as its end is", async () => {
  answer = down;
  assert.deepEqual([await verdict(verifier, token()), await verdict(verifier, token())], Array(2).fill("unavailable"));
  assert.equal(requests.length, 1);
  seconds += 2;
  assert.equal(await verdict(verifier, token()), "unavailable");
  answer = keySet(jwk());
  seconds += 2;
  assert.equal(await verdict(verifier, token()), "accepted");
  assert.equal(keys.state.lastError, undefined);
  assert.deepEqual([keys.state.fetches, keys.state.failures], [3, 2]);
  assert.deepEqual(
    said.map((message) => message.replace(/http\S+/, "")),
    [
      "the signing keys at  are out of reach: unusable answer: status 500",
      "the signing keys at  are within reach again",
    ],
  );
});

for (const [kind, onChange] of Object.entries({
  throws: () => {
    throw new Error("the log is full");
  },
  rejects: async () => {
    throw new Error("the log is full");
  },
})) {
  test(`a callback that ${kind} changes nothing, and is a warning`, async () => {
    const warned = [];
    const note = (warning) => warned.push(warning.message);
    process.on("warning", note);
    keys = new JwksKeys(url, { clock: () => seconds, onChange });
    verifier = new SessionVerifier(keys, { issuer: ISSUER, now: () => NOW });
    await verdict(verifier, token());
    answer = down;
    seconds += 290; // renewed in the background
    assert.equal(await verdict(verifier, token()), "accepted");
    while (keys.state.failures < 1) await sleep(5);
    answer = keySet(jwk());
    seconds += 2;
    await keys.refresh();
    assert.deepEqual([keys.state.failures, keys.state.lastError, keys.state.ageSeconds], [1, undefined, 0]);
    await sleep(5);
    process.off("warning", note);
    assert.deepEqual(
      warned.map((message) => message.replace(/http\S+/, "")),
      [
        "onChange failed: Error: the log is full; the message was: the signing keys at  are out of reach: unusable answer: status 500",
        "onChange failed: Error: the log is full; the message was: the signing keys at  are within reach again",
      ],
    );
  });
}

test("a failed search for a kid is no verdict on the token", async () => {
  await verdict(verifier, token());
  answer = down;
  assert.equal(await verdict(verifier, token({ key: "rotated", kid: "ins_rotated" })), "unavailable");
  assert.equal(await verdict(verifier, token()), "accepted");
});

test("a fetch that never ends is given up, and its callers are told", async () => {
  begin(0.2);
  answer = hangs;
  assert.equal(await verdict(verifier, token()), "unavailable");
  answer = (response) => {
    response.write('{"keys": [');
    const dripping = setInterval(() => response.write(" "), 20);
    response.on("close", () => clearInterval(dripping));
  };
  seconds += 2;
  assert.equal(await verdict(verifier, token()), "unavailable");
  assert.equal(keys.state.failures, 2);
});

test("given headers are sent, nothing packed is asked for, and no connection is kept", async () => {
  await new JwksKeys(url, { headers: { Authorization: "Bearer sk_test_1" } }).refresh();
  assert.equal(requests[0].headers["authorization"], "Bearer sk_test_1");
  assert.equal(requests[0].headers["accept-encoding"], "identity");
  assert.equal(requests[0].headers["connection"], "close");
});

const { d } = keyPair().privateKey.export({ format: "jwk" });
const USELESS_ENTRIES = {
  "an EC key": { kty: "EC", crv: "P-256", kid: KID, alg: "ES256", use: "sig", x: "AA", y: "AA" },
  "a secret": { kty: "oct", kid: KID, k: "eHh4", alg: "HS256" },
  "a key for encryption": jwk({ use: "enc" }),
  "a key for another algorithm": jwk({ alg: "RS512" }),
  "a key without verify": jwk({ key_ops: ["encrypt"] }),
  "operations that are no list": jwk({ key_ops: "verify" }),
  "a private key": jwk({ d }),
  "a weak key": jwk({ name: "weak", bits: 1024 }),
  "an exponent of 1": jwk({ e: "AQ" }),
  "an exponent of 3": jwk({ e: "Aw" }),
  "an even exponent": jwk({ e: "AQAC" }),
  "a huge exponent": jwk({ e: "A".repeat(400) }),
  "a huge modulus": jwk({ n: "A".repeat(100_000) }),
  "a modulus that is no number": jwk({ n: "!!!" }),
  "a modulus with a blank": jwk({ n: jwk().n.replace(/^.{9}/, "$& ") }),
  "a modulus of zero": jwk({ n: "AA" }),
  "a modulus that is a number": jwk({ n: 12345 }),
  "no modulus": { kty: "RSA", kid: KID, e: "AQAB" },
  "no kid": { ...jwk(), kid: undefined },
  "a kid that is a number": jwk({ kid: 7 }),
  "an empty kid": jwk({ kid: "" }),
  "no object": "key",
  null: null,
};
for (const [name, entry] of Object.entries(USELESS_ENTRIES)) {
  test(`an entry that is no RS256 key is never used and does not spoil its neighbours: ${name}`, async () => {
    answer = keySet(entry);
    assert.equal(await verdict(verifier, token()), "unavailable");
    assert.equal(keys.state.usable, false);
    answer = keySet(entry, jwk({ name: "good", kid: "ins_good" }));
    const state = await keys.refresh();
    assert.equal(await verdict(verifier, token({ key: "good", kid: "ins_good" })), "accepted");
    assert.notEqual(await verdict(verifier, token()), "accepted");
    assert.deepEqual([state.keys, state.ignored], [1, 1]);
  });
}

const GOOD = JSON.stringify({ keys: [jwk()] });
const BAD_ANSWERS = {
  "an error": body(GOOD, { status: 500 }),
  "not found": body(GOOD, { status: 404 }),
  "no content": (response) => response.writeHead(204).end(),
  "a redirect": body(GOOD, { status: 302, location: "/elsewhere" }),
  HTML: body("<!doctype html><title>Maintenance</title>", { "content-type": "text/html" }),
  nothing: body(""),
  "a list": body(JSON.stringify([jwk()])),
  "no keys member": body("{}"),
  "keys null": body('{"keys": null}'),
  "keys an object": body(JSON.stringify({ keys: jwk() })),
  "no key": body('{"keys": []}'),
  "keys twice": body(`{"keys": [], "keys": [${JSON.stringify(jwk())}]}`),
  "not UTF-8": body(Buffer.from('{"keys": ["\xff"]}', "latin1")),
  "nested too deep": body(`{"keys": ${"[".repeat(100_000)}`),
  "too large": body(`${GOOD.slice(0, -1)}${" ".repeat(300_000)}}`),
  packed: body(gzipSync(GOOD), { "content-encoding": "gzip" }),
  "a packed bomb": body(gzipSync(" ".repeat(50_000_000)), { "content-encoding": "gzip" }),
  "two keys with one kid": keySet(jwk(), jwk({ name: "stranger" })),
  "cut off": (response) => {
    response.writeHead(200, { "content-length": 5000 }).write('{"keys": [');
    setTimeout(() => response.destroy(), 20);
  },
  "no HTTP": (response) => response.socket.end("SSH-2.0-OpenSSH_9.6\r\n"),
};
for (const [name, bad] of Object.entries(BAD_ANSWERS)) {
  test(`a bad answer is a fault with a reason, and the keys at hand stay: ${name}`, async () => {
    answer = bad;
    assert.equal(await verdict(verifier, token()), "unavailable");
    assert.equal(await verdict(verifier, token({ key: "stranger" })), "unavailable");
    assert.equal(keys.state.usable, false);
    assert.ok(keys.state.lastError);
    answer = keySet(jwk());
    seconds += 2;
    assert.equal(await verdict(verifier, token()), "accepted");
    answer = bad;
    seconds += 301;
    assert.equal(await verdict(verifier, token()), "accepted");
    assert.equal(await verdict(verifier, token({ key: "stranger" })), "token-invalid-signature");
    assert.ok(keys.state.usable && keys.state.lastError);
  });
}

test("a server that is not there is a fault and no verdict", async () => {
  server.close();
  await once(server, "close");
  assert.equal(await verdict(verifier, token()), "unavailable");
  assert.match(keys.state.lastError, /ECONNREFUSED/);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});

test("the same key twice is one key", async () => {
  answer = keySet(jwk(), jwk());
  assert.equal(await verdict(verifier, token()), "accepted");
  assert.equal(keys.state.keys, 1);
});
