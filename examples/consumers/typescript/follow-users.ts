// Keep all users in memory: start with the state topic, continue with the events; and follow ended sessions.
//
// npm install @anomalyze/auth kafkajs
// KAFKA_BOOTSTRAP_SERVERS=localhost:9092 node follow-users.js
import { randomUUID } from "node:crypto";

import { decode, decodeSession, USER_TOPIC } from "@anomalyze/auth/events";
import { decodeState, STATE_TOPIC, UserStates } from "@anomalyze/auth/state";
import { Kafka, logLevel, type Consumer, type KafkaMessage } from "kafkajs";

const kafka = new Kafka({
  brokers: process.env["KAFKA_BOOTSTRAP_SERVERS"]!.split(","),
  logLevel: logLevel.NOTHING,
});
const events = process.env["KAFKA_USER_EVENTS_TOPIC"] ?? USER_TOPIC;
const state = process.env["KAFKA_USER_STATE_TOPIC"] ?? STATE_TOPIC;
const sessions = process.env["KAFKA_SESSION_EVENTS_TOPIC"]; // auth.session.events.v1, if there is one

// Told to stop, it leaves its group: the broker forgets that at once, and not when the session times out.
let following: Consumer | undefined;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, async () => {
    await following?.disconnect();
    process.exit();
  });
}

// Calls `take` with every record of the topics from the beginning, and resolves where they end at this moment.
// What is kept in memory begins anew with each start: a group of a random name, to which nothing is committed.
async function follow(topics: string[], take: (topic: string, message: KafkaMessage) => void): Promise<Consumer> {
  const admin = kafka.admin();
  await admin.connect();
  const missing = new Map<string, bigint>();
  for (const topic of topics) {
    for (const { partition, low, high } of await admin.fetchTopicOffsets(topic)) {
      if (BigInt(high) > BigInt(low)) missing.set(`${topic}/${partition}`, BigInt(high));
    }
  }
  await admin.disconnect();
  const consumer = kafka.consumer({ groupId: `follow-users-${randomUUID()}`, maxWaitTimeInMs: 100 });
  following = consumer;
  await consumer.connect();
  await consumer.subscribe({ topics, fromBeginning: true });
  const upToNow = new Promise<void>((resolve) => {
    if (missing.size === 0) resolve();
    void consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        for (const message of batch.messages) take(batch.topic, message);
        const partition = `${batch.topic}/${batch.partition}`;
        if (BigInt(batch.lastOffset()) + 1n >= (missing.get(partition) ?? 0n)) missing.delete(partition);
        if (missing.size === 0) resolve();
      },
    });
  });
  await upToNow;
  return consumer;
}

const users = new UserStates(); // drops versions that are not newer
const revoked = new Set<string>();
let ready = false;

const states = await follow([state], (_, message) => void users.apply(decodeState(message)));
await states.disconnect();

await follow(sessions ? [events, sessions] : [events], (topic, message) => {
  const event = topic === sessions ? decodeSession(message) : decode(message);
  if (event.kind === "session-revoked") {
    if (!revoked.has(event.sessionId) && ready) console.log(`revoked ${event.sessionId}`);
    revoked.add(event.sessionId);
  } else if (event.kind === "unknown") {
    if (ready) console.log(`skipped ${event.type}`);
  } else if (users.apply(event) && ready) {
    const changed = event.kind === "updated" ? `: ${[...event.changed].sort().join(", ")}` : "";
    console.log(`${event.kind} ${event.userId} version ${event.version}${changed}`);
  }
});
ready = true;
console.log(`ready: ${users.users.size} users`);
