"""How fast one relay process empties a full outbox into Kafka, beside other relays on the same servers."""

import time
from collections.abc import Callable, Iterator
from functools import partial

from application.relay.lanes import lane_of
from application.relay.topics import STATE
from bench.figures import Figure
from bench.peers import relays
from bench.requests import user_ids
from bench.stage import Connection, Stage
from bench.topics import Filling, fill, out_of_order

KEYS = 10_000
PAYLOAD_BYTES = 700
_MOST_S = 300.0
_TRANSACTION = 20

_KEYS = "CREATE TABLE IF NOT EXISTS bench_keys (n int PRIMARY KEY, key text NOT NULL, lane smallint NOT NULL)"
# Rows in the order in which users change: every user's first version, then every user's second.
_ROWS = f"""
FROM generate_series($1::int, $2::int - 1) AS row (number) CROSS JOIN (SELECT count(*)::int AS keys FROM bench_keys)
JOIN bench_keys ON n = number % keys
CROSS JOIN LATERAL (SELECT number / keys + 1 AS version) AS versions
CROSS JOIN LATERAL (SELECT '{{"user":{{"id":"' || key || '","version":' || version || '}},"pad":"' AS head) AS heads
CROSS JOIN LATERAL (SELECT head || repeat('x', {PAYLOAD_BYTES} - length(head) - 2) || '"}}' AS payload) AS payloads
ORDER BY number
"""  # noqa: S608  # constants of ours


def measure(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Compare events/s from the first event in Kafka to the last, and say whether each user's order was kept."""
    runs, rows, most = (1, 20_000, 200_000) if quick else (3, 100_000, 1_000_000)
    url = stage.database("bench_drain")
    make_keys(stage, url)
    reference = f"auth-service relay, {rows:,} rows"
    _ours(stage, url, rows, "warm")  # the broker's compiler is cold, and Debezium comes last
    before = [_ours(stage, url, rows, f"r{run}") for run in range(runs)]
    small, large = "auth-service relay, 10,000 rows", f"auth-service relay, {most:,} rows"
    yield _figure(small, None, [_ours(stage, url, 10_000, f"s{run}") for run in range(runs)])
    yield _figure(large, small, [_ours(stage, url, most, f"l{run}") for run in range(1 if quick else 2)])
    yield _figure(f"{reference}, with the state topic", reference, _with_state(stage, rows, runs))

    peer_url = stage.database("bench_drain_peer", ours=False)
    make_keys(stage, peer_url)
    relays.prepare(stage, peer_url)
    few = rows // 10 if quick else rows // 5
    pollers: dict[str, tuple[str, Callable[..., relays.Running]]] = {
        "faststream-outbox, 1 worker": ("faststream_outbox", partial(relays.faststream_outbox, workers=1)),
        "faststream-outbox, 32 workers": ("faststream_outbox", partial(relays.faststream_outbox, workers=32)),
        "naive poller": ("poller_outbox", relays.naive_poller),
    }
    for name, (table, running) in pollers.items():
        done = []
        for run in range(min(runs, 2)):
            topic = stage.topic(f"drain-{name.replace(', ', '-').replace(' ', '-')}-{run}")
            _fill_peer(stage, peer_url, few, table)
            with running(stage, peer_url, topic):
                filling = fill(stage, topic, few, timeout_s=_MOST_S)
            done.append((filling, out_of_order(stage, topic)))
        yield _figure(f"{name}, {few:,} rows", reference, done)
    cold, *warm = _debezium(stage, peer_url, rows, 1 + runs)
    yield _figure(f"Debezium, {rows:,} rows, just started", reference, [cold])
    yield _figure(f"Debezium, {rows:,} rows, warm", reference, warm)
    # Before and after all others, because a machine has faster and slower minutes.
    yield _figure(reference, None, [*before, *(_ours(stage, url, rows, f"e{run}") for run in range(runs))])


def fill_outbox(stage: Stage, url: str, rows: int) -> None:
    stage.sql(
        url,
        "INSERT INTO outbox (key, version, lane, event_id, type, occurred_at, payload) SELECT key, version, lane,"
        f" gen_random_uuid(), 'anomalyze.user.updated.v1', now(), convert_to(payload, 'UTF8') {_ROWS}",
        0,
        rows,
    )
    stage.settle(url)


def _ours(stage: Stage, url: str, rows: int, run: str) -> tuple[Filling, str]:
    topic = stage.topic(f"drain-{run}")
    stage.settle(url, "outbox")
    fill_outbox(stage, url, rows)
    with stage.relay(url, topic) as relay:
        filling = fill(stage, topic, rows, timeout_s=_MOST_S)
        cpu = relay.cpu_seconds()
    return filling, f"{out_of_order(stage, topic)}; relay's CPU {cpu / rows * 1e6:.0f} µs an event with its start"


def _with_state(stage: Stage, rows: int, runs: int) -> list[tuple[Filling, str]]:
    """Measure the most that the state topic can cost: as many users as rows, so each version is its user's newest."""
    url = stage.database("bench_drain_state")
    make_keys(stage, url, rows)
    stage.sql(
        url,
        "INSERT INTO users (id, version, revision, email_verified, banned, locked)"
        " SELECT key, 1, 1, false, false, false FROM bench_keys",
    )
    done = []
    for run in range(runs):
        topic, state = stage.topic(f"drain-events-{run}"), stage.topic(f"drain-state-{run}", STATE)
        stage.settle(url, "outbox")
        fill_outbox(stage, url, rows)
        with stage.relay(url, topic, KAFKA_USER_STATE_TOPIC=state):
            filling = fill(stage, topic, rows, timeout_s=_MOST_S)
            stage.wait_until_none(url, "outbox")
        done.append((filling, f"{out_of_order(stage, topic)}; state topic: {out_of_order(stage, state)}"))
    return done


def _fill_peer(stage: Stage, url: str, rows: int, table: str) -> None:
    stage.settle(url, table)
    stage.sql(url, relays.INSERT[table].format(rows=_ROWS), 0, rows)
    stage.settle(url)


def _debezium(stage: Stage, url: str, rows: int, runs: int) -> list[tuple[Filling, str]]:
    """Measure it stopped (SIGSTOP) while the rows are written: it would have sent them as they came.

    The first run finds Java's compiler cold, as after a restart; the others what it gets to.
    """
    topic = stage.topic("debezium.user")
    done = []
    with relays.debezium(stage, url, topic) as connector:
        for _ in range(runs):
            connector.pause()
            _insert_debezium(stage, url, rows)
            time.sleep(0.5)
            done.append((fill(stage, topic, rows, timeout_s=_MOST_S, begin=connector.resume), "connector and slot"))
    return done


def _insert_debezium(stage: Stage, url: str, rows: int) -> None:
    """Write them as a busy service does: it reads transactions from the WAL, and one large one would be easier."""

    async def insert(connection: Connection) -> None:
        await connection.execute("SET synchronous_commit = off")
        statement = await connection.prepare(relays.INSERT["debezium_outbox"].format(rows=_ROWS))
        for first in range(0, rows, _TRANSACTION):
            await statement.fetch(first, first + _TRANSACTION)

    relays.in_thread(lambda: stage.database_work(url, insert))


def make_keys(stage: Stage, url: str, count: int = KEYS) -> None:
    keys = [(number, key, lane_of(key)) for number, key in enumerate(user_ids(stage, count))]
    stage.sql(url, _KEYS)
    stage.database_work(url, lambda connection: connection.copy_records_to_table("bench_keys", records=keys))


def _figure(what: str, against: str | None, done: list[tuple[Filling, str]]) -> Figure:
    rates = [filling.rate for filling, _ in done]
    return Figure(what=what, unit="events/s", runs=rates, against=against, note=done[-1][1])
