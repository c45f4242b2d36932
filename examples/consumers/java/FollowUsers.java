// Keep all users in memory: start with the state topic, continue with the events.
// With org.apache.kafka:kafka-clients and com.fasterxml.jackson.core:jackson-databind in jars/, and a JDK 17 or newer:
//
//     KAFKA_BOOTSTRAP_SERVERS=localhost:9092 java --class-path 'jars/*' FollowUsers.java

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeSet;
import java.util.function.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

public class FollowUsers {
    /** A CloudEvent in binary mode: attributes in headers, data in the value; no data in the state topic: deleted. */
    record Event(String type, String user, long version, JsonNode data) {
        String kind() {
            return type.equals("anomalyze.user.created.v1") ? "created"
                : type.equals("anomalyze.user.updated.v1") ? "updated"
                : type.equals("anomalyze.user.deleted.v1") ? "deleted"
                : type.equals("anomalyze.user.state.v1") ? (data == null ? "deleted" : "state")
                : "unknown";
        }
    }

    static final ObjectMapper JSON = new ObjectMapper();
    static final Map<String, JsonNode> users = new HashMap<>();
    /** The newest version of each user, deleted ones included. */
    static final Map<String, Long> versions = new HashMap<>();

    static Event decode(ConsumerRecord<String, byte[]> record) {
        if (!"1.0".equals(attribute(record, "ce_specversion"))) {
            throw new IllegalArgumentException("no CloudEvent 1.0 at " + record.topic() + " " + record.offset());
        }
        String type = attribute(record, "ce_type");
        if (new Event(type, null, 0, null).kind().equals("unknown")) {
            return new Event(type, record.key(), 0, null); // a type of a later version
        }
        try {
            JsonNode data = record.value() == null ? null : JSON.readTree(record.value());
            return new Event(type, record.key(), Long.parseLong(attribute(record, "ce_sequence")), data);
        } catch (IOException error) {
            throw new IllegalArgumentException("no JSON at " + record.topic() + " " + record.offset());
        }
    }

    static String attribute(ConsumerRecord<?, ?> record, String name) {
        Header header = record.headers().lastHeader(name);
        return header == null ? null : new String(header.value(), StandardCharsets.UTF_8);
    }

    /** Applies the event and returns whether it changed something: delivery is at least once. */
    static boolean apply(Event event) {
        if (event.kind().equals("unknown") || event.version() <= versions.getOrDefault(event.user(), 0L)) {
            return false;
        }
        versions.put(event.user(), event.version());
        if (event.kind().equals("deleted")) {
            users.remove(event.user());
        } else {
            users.put(event.user(), event.data().get("user"));
        }
        return true;
    }

    static void tell(Event event) {
        if (event.kind().equals("unknown")) {
            System.out.println("skipped " + event.type());
        } else if (apply(event)) {
            String line = event.kind() + " " + event.user() + " version " + event.version();
            if (event.kind().equals("updated")) {
                TreeSet<String> changed = new TreeSet<>();
                event.data().get("changed").forEach(field -> changed.add(field.asText()));
                line += ": " + String.join(", ", changed);
            }
            System.out.println(line);
        }
    }

    /** Every record from the beginning to the topic's current end. */
    static void upToNow(KafkaConsumer<String, byte[]> consumer, String topic, Consumer<Event> each) {
        var partitions = consumer.partitionsFor(topic).stream()
            .map(found -> new TopicPartition(topic, found.partition())).toList();
        consumer.assign(partitions); // no consumer group: the memory is empty at each start
        consumer.seekToBeginning(partitions);
        var ends = consumer.endOffsets(partitions);
        while (partitions.stream().anyMatch(partition -> consumer.position(partition) < ends.get(partition))) {
            consumer.poll(Duration.ofMillis(500)).forEach(record -> each.accept(decode(record)));
        }
    }

    public static void main(String[] arguments) {
        Map<String, String> environment = System.getenv();
        String events = environment.getOrDefault("KAFKA_USER_EVENTS_TOPIC", "auth.user.events.v1");
        String state = environment.getOrDefault("KAFKA_USER_STATE_TOPIC", "auth.user.state.v1");
        Map<String, Object> settings = Map.of("bootstrap.servers", environment.get("KAFKA_BOOTSTRAP_SERVERS"));

        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer())) {
            upToNow(consumer, state, FollowUsers::apply);
            // From the beginning too: it has what was published while the state was read; the rest is dropped.
            upToNow(consumer, events, FollowUsers::apply);
            System.out.println("ready: " + users.size() + " users");
            while (true) {
                consumer.poll(Duration.ofSeconds(1)).forEach(record -> tell(decode(record)));
            }
        }
    }
}
