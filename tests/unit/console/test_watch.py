"""Following the service: what cannot be reached is said, and what is no event of ours is passed over."""

import asyncio

from sdktest.rows import each_row

from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from application.relay.ports import Record
from devkit.console import watch
from devkit.console.watch import Watch, published
from devkit.local.environment import NO_FILE
from entrypoints.config.loading import load
from entrypoints.config.settings import EventsSettings
from unit.console.conftest import attempt

OURS = {
    "ce_id": "11111111-2222-3333-4444-555555555555",
    "ce_type": "anomalyze.user.updated.v1",
    "ce_sequence": "00000000000000000007",
    "ce_time": "2026-11-29T10:00:01.200Z",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}


async def test_an_outage_is_said_for_each_part_and_ends_nothing(records):
    settings = load(EventsSettings, environment={"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, env_file=NO_FILE)
    engine = create_engine(read_target("postgresql://nobody@127.0.0.1:1/none"))
    records.add_attempt(attempt())
    records.watchers = 1
    running = asyncio.create_task(Watch(records, engine, settings.kafka).run())
    async with asyncio.timeout(60):
        while len(records.problems) < 4:
            await asyncio.sleep(0.02)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await engine.dispose()

    assert set(records.problems) == {
        "PostgreSQL",
        "auth.user.events.v1",
        "auth.session.events.v1",
        "Consumer groups",
    }
    assert records.dirty == {"user_ada"}  # to be read when the database is back


async def test_what_is_no_id_is_not_looked_for(records, monkeypatch):
    """PostgreSQL refuses a NUL, and with it every id in the same statement, again and again."""
    asked = []

    async def rows_of(_engine, ids):
        asked.extend(ids)
        return {}, []

    monkeypatch.setattr(watch, "rows_of", rows_of)
    records.dirty |= {"\0", "", "user_\0", "user_ada"}
    running = asyncio.create_task(Watch(records, object()).run())
    async with asyncio.timeout(20):
        while records.dirty or not asked:
            await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert asked == ["user_ada"]


def test_an_event_is_read_with_its_place_and_trace():
    value = b'{"user": {"id": "user_ada", "version": 7}, "changed": ["banned"]}'
    read = published(Record(partition=2, offset=5, headers=OURS, value=value))

    assert (read.id, read.user_id, read.version, read.partition, read.offset) == (OURS["ce_id"], "user_ada", 7, 2, 5)
    assert read.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    ended = b'{"session": {"id": "sess_1", "user_id": "user_ada"}}'
    session = {**OURS, "ce_type": "anomalyze.session.revoked.v1"}
    assert published(Record(partition=0, offset=0, headers=session, value=ended)).user_id == "user_ada"


@each_row(
    ("headers", "value"),
    [
        ({}, b"{}"),
        (OURS, None),
        (OURS, b""),
        (OURS, b"\xff"),
        (OURS, b"[]"),
        (OURS, b"{}"),
        (OURS, b"[" * 100_000),
        (OURS, b'{"user": []}'),
        (OURS, b'{"user": {"id": 1}}'),
        ({**OURS, "ce_sequence": "x"}, b'{"user": {"id": "user_ada"}}'),
        ({**OURS, "ce_sequence": ""}, b'{"user": {"id": "user_ada"}}'),
        ({**OURS, "ce_sequence": "9" * 5000}, b'{"user": {"id": "user_ada"}}'),
        (OURS, b'{"user": {"id": "user_\\u0000"}}'),
        ({**OURS, "ce_type": "anomalyze.session.revoked.v1"}, b'{"user": {"id": "user_ada"}, "session": []}'),
    ],
)
def test_what_is_no_event_of_ours_is_passed_over(headers, value):
    assert published(Record(partition=0, offset=0, headers=headers, value=value)) is None
