// Follows revocations, and answers each line of stdin (`SESSION USER`) with what a token with these ids is worth.
import { createInterface } from "node:readline";
import { Revocations } from "@anomalyze/auth/revocations";
import { Kafka, logLevel } from "kafkajs";

const [servers, sessionTopic, userTopic, whenStale, staleAfter = "15"] = process.argv.slice(2);
const kafka = new Kafka({ brokers: servers.split(","), logLevel: logLevel.NOTHING, retry: { retries: 1 } });
const revocations = new Revocations(kafka, {
  sessionTopic,
  userTopic,
  whenStale,
  staleAfter: Number(staleAfter),
  onChange: () => undefined,
});
const { current } = await revocations.start({ timeout: whenStale === "allow" ? 1 : 60 });
console.log(current ? "current" : "stale");
for await (const line of createInterface({ input: process.stdin })) {
  const [sessionId, userId] = line.split(" ");
  try {
    revocations.check({ sessionId, userId });
    console.log("good");
  } catch (error) {
    console.log(error.reason ?? error.name);
  }
}
await revocations.close();
try {
  revocations.check({ sessionId: "sess_good", userId: "user_good" });
} catch (error) {
  console.log(error.name);
}
