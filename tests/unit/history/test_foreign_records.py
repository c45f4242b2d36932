"""Records that another program wrote under a user's key: whatever they hold, the history is told to its end."""

import json

import pytest
from attrs import evolve

from adapters.kafka.cloudevents import encode
from application.history.erasure import Erasure, by_retention
from application.history.ports import StoredTraces
from application.history.user_history import history_of
from domain.sync_user import sync_user
from entrypoints.cli.users import history_output
from support.users import USER, snapshot
from unit.history.test_user_history import found, record

DECISION = sync_user(None, snapshot())
[MESSAGE] = map(encode, DECISION.events)
DELETE = {"cleanup.policy": "delete", "retention.ms": "60000", "segment.ms": "60000"}


def strictly(text):
    """Read JSON as other languages do, where NaN is none."""

    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(text, parse_constant=refuse)


def shown(*records):
    """Print both ways, and return the JSON document."""
    history = history_of(USER, DECISION.user, StoredTraces(), found(*records))
    history_output.print_history(history)
    return strictly(json.dumps(history_output.history_document(history)))


@pytest.mark.parametrize(
    ("timestamp", "time"),
    [
        (-1, "1970-01-01T00:00:00.000Z"),  # Kafka's way to say that there is none
        (1_800_000_000_000_000, "9999-12-31T23:59:59.999Z"),  # microseconds
        (2**63 - 1, "9999-12-31T23:59:59.999Z"),
        (-(2**63), "1970-01-01T00:00:00.000Z"),
    ],
)
def test_a_time_that_no_calendar_has_is_told_as_the_nearest_that_one_has(timestamp, time):
    written = evolve(record(MESSAGE, 1), timestamp=timestamp)
    places = [by_retention(found(written), "event", DELETE)]
    erasure = Erasure(id=USER, deleted=True, places=places)
    history_output.print_erasure(erasure, 1)

    assert shown(written)["versions"][0]["published"][0]["time"] == time
    assert history_output.erasure_document(erasure, 1)["places"][0]["until"] >= time


@pytest.mark.parametrize("changed", [5, True, "first_name", {"first_name": 1}, None])
def test_a_list_of_changes_that_is_none_names_nothing(changed):
    value = json.dumps({"user": {"id": USER, "first_name": "Ada"}, "changed": changed}).encode()
    written = evolve(record(MESSAGE, 1, ce_sequence="7"), value=value)

    [version] = shown(written)["versions"]
    assert version["changed"] == []
    assert version["changes"] == []


@pytest.mark.parametrize("number", [b"NaN", b"-Infinity", b"1e999"])
def test_what_is_no_json_is_not_repeated(number):
    value = b'{"user":{"id":"user_1","public_metadata":{"seats":%b}},"changed":["public_metadata"]}' % number

    [version] = shown(evolve(record(MESSAGE, 1), value=value))["versions"]
    assert version["changes"] is None
