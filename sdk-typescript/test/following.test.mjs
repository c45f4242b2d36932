// What kafkajs does after its consumer crashed cannot be had from a real broker at will: a client with the few methods
// that `follow` calls stands for it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { follow } from "../dist/following.js";

test("after the consumer crashed nothing goes on asking the brokers, which would connect again and for ever", async () => {
  const callbacks = {};
  let questions = 0;
  const offsets = async () => [{ partition: 0, offset: "0", high: "0", low: "0" }];
  const kafka = {
    admin: () => ({
      connect: async () => undefined,
      disconnect: async () => undefined,
      fetchTopicOffsetsByTimestamp: offsets,
      fetchTopicOffsets: async () => {
        questions += 1;
        return offsets();
      },
    }),
    consumer: () => ({
      events: { CRASH: "crash", GROUP_JOIN: "join" },
      on: (name, callback) => (callbacks[name] = callback),
      connect: async () => undefined,
      subscribe: async () => undefined,
      run: async () => undefined,
      disconnect: async () => undefined,
    }),
  };
  const known = [];
  const following = { take: () => undefined, known: (asOf) => known.push(asOf) };
  const stopping = new AbortController();
  const reading = follow(kafka, ["users"], 0, following, { groupIdPrefix: "x-", signal: stopping.signal });
  while (known.length === 0) await sleep(5);
  callbacks.crash({ payload: { error: new Error("crashed") } });
  await assert.rejects(reading, /crashed/);
  const asked = questions;
  await sleep(600); // two questions later
  stopping.abort();
  assert.equal(questions, asked);
});
