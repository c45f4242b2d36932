"""The outbox under an old transaction: vacuum can remove nothing, and every event leaves a dead row behind."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from bench.drain import fill_outbox, make_keys
from bench.figures import Figure
from bench.stage import Stage
from bench.topics import fill

_ROUND = 200_000
_MOST_S = 300.0


def measure(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Send events through the table round by round, with a snapshot held open all the while and then without."""
    rounds, rows = (3, 20_000) if quick else (10, _ROUND)
    url = stage.database("bench_bloat")
    make_keys(stage, url)
    total = f"{rounds * rows:,} events"
    yield Figure(what="drain, nothing in the way", unit="events/s", runs=[_round(stage, url, rows, "before")])
    with _old_transaction(stage, url):
        rates = [_round(stage, url, rows, f"r{number}") for number in range(rounds)]
        steps = ", ".join(f"{rate:,.0f}" for rate in rates)
        size = _size(stage, url)
        yield Figure(
            what=f"drain, {total} under an old transaction",
            unit="events/s",
            runs=rates,
            against="drain, nothing in the way",
            note=f"round by round: {steps}; {size}",
        )
    stage.sql(url, "VACUUM outbox")
    yield Figure(
        what="drain, after it ended and vacuum ran",
        unit="events/s",
        runs=[_round(stage, url, rows, "after")],
        against="drain, nothing in the way",
        note=_size(stage, url),
    )


def _round(stage: Stage, url: str, rows: int, name: str) -> float:
    topic = stage.topic(f"bloat-{name}")
    fill_outbox(stage, url, rows)
    with stage.relay(url, topic):
        rate = fill(stage, topic, rows, timeout_s=_MOST_S).rate
        stage.wait_until_none(url, "outbox")
    return rate


def _size(stage: Stage, url: str) -> str:
    table, indexes, dead = stage.sql(
        url,
        "SELECT pg_table_size('outbox'), pg_indexes_size('outbox'), n_dead_tup FROM pg_stat_user_tables"
        " WHERE relname = 'outbox'",
    )[0]
    return f"table {table / 2**20:,.0f} MiB, indexes {indexes / 2**20:,.0f} MiB, {dead:,} dead rows"


@contextmanager
def _old_transaction(stage: Stage, url: str) -> Iterator[None]:
    """Hold a snapshot, as a forgotten psql or a long report does."""
    begun, over = threading.Event(), threading.Event()

    async def hold(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        async with connection.transaction(isolation="repeatable_read"):
            await connection.fetch("SELECT count(*) FROM outbox")
            begun.set()
            while not over.is_set():  # noqa: ASYNC110  # the other thread is no part of this loop
                await asyncio.sleep(0.2)

    holder = threading.Thread(target=lambda: stage.database_work(url, hold), daemon=True)
    holder.start()
    if not begun.wait(30):
        raise RuntimeError("the old transaction did not begin")
    try:
        yield
    finally:
        over.set()
        holder.join()
