"""The table of records that every SDK is tested with."""

from typing import Any

import pytest
from devkit.conformance.consumer_vectors import record, table

from anomalyze_auth.consumer import InMemoryLastSeen, UserEvents
from anomalyze_auth.events import UnusableEvent, UserEvent

ROWS: list[dict[str, Any]] = table()["records"]


def test_the_table_has_every_outcome_and_no_name_twice():
    assert {row["outcome"] for row in ROWS} == {"handled", "duplicate", "unknown", "unusable"}
    assert len({row["name"] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
async def test_each_record_of_the_table_comes_to_what_it_must(row: dict[str, Any]):
    last_seen, handled, unusable = InMemoryLastSeen(), list[UserEvent](), list[UnusableEvent]()
    await last_seen.remember("user_a", row.get("after", 0))
    made = record(row, "user_a")

    async def handle(event: UserEvent) -> None:
        handled.append(event)

    async def put_aside(error: UnusableEvent) -> None:
        unusable.append(error)

    outcome = await UserEvents(last_seen, on_unusable=put_aside).deliver(made.headers, made.value, handle)

    assert outcome.value == row["outcome"]
    assert len(handled) == (row["outcome"] == "handled")
    assert len(unusable) == (row["outcome"] == "unusable")
