/** Read topics from a point in time with kafkajs, without storing offsets, and track when everything was read. */

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import type { Admin, Consumer, ConsumerConfig, Kafka, KafkaMessage } from "kafkajs";

const ASK_EVERY_MS = 250;
const STANDSTILL_MS = 10_000;
const POLL_MS = 10;

/** The callbacks of `follow`. */
export interface Following {
  /** Called with each record, in the order of its partition. */
  take(topic: string, record: KafkaMessage): void;
  /** Called with a time of `performance.now()`, when every record that the brokers had at that time was taken. */
  known(asOf: number): void;
}

type Positions = Map<string, Map<number, bigint>>;

/**
 * Read these topics from `from` (milliseconds since 1970) until `signal` is aborted or something fails.
 *
 * kafkajs can read only within a consumer group: it joins one with a random name and commits nothing to it; the broker
 * deletes the group when it is left.
 */
export async function follow(
  kafka: Kafka,
  topics: readonly string[],
  from: number,
  following: Following,
  options: { readonly groupIdPrefix: string; readonly signal: AbortSignal },
): Promise<never> {
  const ended = new AbortController();
  const signal = AbortSignal.any([options.signal, ended.signal]);
  const admin = kafka.admin();
  const config: ConsumerConfig = {
    groupId: `${options.groupIdPrefix}${randomUUID()}`,
    allowAutoTopicCreation: false,
    maxWaitTimeInMs: 250,
    metadataMaxAge: 5_000,
    // The caller restarts reading; a consumer that restarted by itself could outlive this call.
    retry: { restartOnFailure: async () => false },
  };
  const consumer = kafka.consumer(config);
  try {
    await admin.connect();
    const positions: Positions = new Map();
    for (const topic of topics) {
      const offsets = await admin.fetchTopicOffsetsByTimestamp(topic, from);
      positions.set(topic, new Map(offsets.map(({ partition, offset }) => [partition, BigInt(offset)])));
    }
    const reading = start(consumer, topics, positions, following);
    return await Promise.race([crashOf(consumer), reading.then(() => ask(admin, positions, following, signal))]);
  } finally {
    ended.abort(); // kafkajs would connect again for the next question
    await Promise.allSettled([consumer.disconnect(), admin.disconnect()]);
  }
}

function crashOf(consumer: Consumer): Promise<never> {
  return new Promise((_, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
  });
}

async function start(
  consumer: Consumer,
  topics: readonly string[],
  positions: Positions,
  following: Following,
): Promise<void> {
  // Nothing is committed, so after a rebalance the consumer would continue at the end.
  consumer.on(consumer.events.GROUP_JOIN, () => {
    for (const [topic, partitions] of positions) {
      for (const [partition, offset] of partitions) consumer.seek({ topic, partition, offset: String(offset) });
    }
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [...topics] });
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch }) => {
      const partitions = positions.get(batch.topic)!;
      const position = partitions.get(batch.partition) ?? 0n;
      for (const message of batch.messages) {
        if (BigInt(message.offset) >= position) following.take(batch.topic, message);
      }
      const end = BigInt(batch.lastOffset()) + 1n;
      if (end > position) partitions.set(batch.partition, end);
    },
  });
}

/** Ask the brokers for the end offsets, and report when everything up to them was taken. */
async function ask(admin: Admin, positions: Positions, following: Following, signal: AbortSignal): Promise<never> {
  for (;;) {
    const asked = performance.now();
    for (const [topic, partitions] of positions) {
      const ends = await admin.fetchTopicOffsets(topic);
      if (ends.length !== partitions.size) throw new Error(`${topic} has other partitions than before`);
      for (const { partition, high } of ends) {
        if (BigInt(high) < (partitions.get(partition) ?? 0n))
          throw new Error(`${topic} ends before what was read of it`);
        await reached(partitions, partition, BigInt(high), signal);
      }
    }
    following.known(asked);
    await sleep(ASK_EVERY_MS, undefined, { signal });
  }
}

async function reached(
  partitions: ReadonlyMap<number, bigint>,
  partition: number,
  end: bigint,
  signal: AbortSignal,
): Promise<void> {
  let moved = performance.now();
  let position = partitions.get(partition) ?? 0n;
  while (position < end) {
    if (performance.now() - moved > STANDSTILL_MS) throw new Error("nothing was read although there is something");
    await sleep(POLL_MS, undefined, { signal });
    const now = partitions.get(partition) ?? 0n;
    if (now !== position) moved = performance.now();
    position = now;
  }
}
