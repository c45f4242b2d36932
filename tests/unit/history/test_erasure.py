"""What is left of a user in each place, and by when it is gone."""

import pytest
from sdktest.rows import each_row

from adapters.kafka.user_state import state_headers, state_value
from application.history.erasure import (
    CHECK_MS,
    PULSE_MS,
    CheckErasure,
    by_retention,
    places_in_database,
    states,
)
from application.history.ports import EndedSession, StoredTraces, TopicSearch
from application.relay.ports import Record
from application.relay.topics import DAY_MS, EVENTS, HOUR_MS, SESSIONS, STATE, Topic, TopicFacts
from domain.session import TOKEN_LIFETIME_MS
from support.users import USER, deletion, snapshot
from unit.history.test_user_history import dead, found, life, waiting

NOW = 1_800_000_000_000
DELETE = {"cleanup.policy": "delete", "retention.ms": str(27 * DAY_MS), "segment.ms": str(DAY_MS)}
COMPACT = {"cleanup.policy": "compact", "max.compaction.lag.ms": str(7 * DAY_MS)}
ROW, (CREATED, UPDATED, DELETED) = life(snapshot(at=1), snapshot(at=2, first_name="Augusta"), deletion())


def state(message, offset, at, partition=0, **more):
    value = state_value(message)
    named = {name: text.decode() for name, text in state_headers(message, value)}
    return Record(
        partition=partition, offset=offset, key=message.key.encode(), headers=named, value=value, timestamp=at, **more
    )


def at(message, offset, timestamp):
    return Record(
        partition=2, offset=offset, key=message.key.encode(), headers={}, value=message.payload, timestamp=timestamp
    )


def by_name(places):
    return {place.name: place for place in places}


def test_a_tombstone_and_empty_tables_hold_nothing():
    places = by_name(places_in_database(ROW, StoredTraces()))

    assert {name: place.left for name, place in places.items()} == dict.fromkeys(
        ("users", "outbox", "outbox_dead", "revoked_session"), 0
    )
    assert not any(place.is_due(NOW) for place in places.values())


def test_what_the_database_holds_has_no_date_but_ended_sessions():
    living, _ = life(snapshot())
    ended = EndedSession(id="sess_1", revoked_at=1, recorded_at=NOW)
    stored = StoredTraces(
        waiting=[waiting(CREATED), waiting(DELETED)],
        dead=[dead(UPDATED), dead(CREATED, payload=None)],
        sessions=[ended],
        waiting_sessions=2,
        dead_sessions=3,
    )

    places = by_name(places_in_database(living, stored))

    assert {name: (place.left, place.until) for name, place in places.items()} == {
        "users": (1, None),
        "outbox": (3, None),
        "outbox_dead": (4, None),
        "revoked_session": (1, NOW + TOKEN_LIFETIME_MS + CHECK_MS),
    }
    assert [name for name, place in places.items() if place.is_due(NOW)] == ["users", "outbox", "outbox_dead"]


def test_the_last_personal_record_decides_when_the_event_topic_is_clean():
    place = by_retention(found(at(CREATED, 0, NOW - 9), at(UPDATED, 1, NOW - 5), at(DELETED, 2, NOW)), "event", DELETE)

    assert (place.left, place.until) == (2, NOW - 5 + 28 * DAY_MS + CHECK_MS)
    assert not place.is_due(NOW)
    assert place.is_due(NOW + 29 * DAY_MS)


@each_row(
    "settings",
    [
        None,
        {**DELETE, "retention.ms": "-1"},
        {**DELETE, "cleanup.policy": "compact"},
        {**DELETE, "retention.ms": str(2**63 - 1)},
    ],
)
def test_a_topic_that_keeps_records_without_end_or_does_not_tell_has_no_date(settings):
    place = by_retention(found(at(CREATED, 0, NOW)), "event", settings)

    assert (place.left, place.until, place.is_due(NOW)) == (1, None, True)
    assert place.why.startswith("unknown") is (settings is None)


def test_a_stranger_s_record_under_the_user_s_key_counts():
    odd = Record(partition=0, offset=0, key=USER.encode(), value=b"no JSON", timestamp=NOW)
    unreadable = Record(partition=0, offset=1, readable=False)

    assert by_retention(found(odd, unreadable), "event", DELETE).left == 1


def test_a_state_that_a_tombstone_replaces_is_gone_by_the_compaction_lag():
    place = states(found(state(CREATED, 0, NOW - 90), state(UPDATED, 1, NOW - 50), state(DELETED, 9, NOW)), COMPACT)

    assert (place.left, place.until) == (2, NOW + 7 * DAY_MS + PULSE_MS + CHECK_MS)
    assert PULSE_MS == HOUR_MS


@each_row(
    ("records", "settings"),
    [
        ([state(CREATED, 0, NOW)], COMPACT),  # nothing behind it
        ([state(CREATED, 0, NOW, partition=0), state(DELETED, 0, NOW, partition=1)], COMPACT),  # partitions were added
        ([state(CREATED, 0, NOW), state(DELETED, 1, NOW, rolled_back=True)], COMPACT),
        (
            [state(CREATED, 0, NOW), state(DELETED, 1, NOW)],
            {"cleanup.policy": "compact", "max.compaction.lag.ms": str(2**63 - 1)},
        ),
        ([state(CREATED, 0, NOW), state(DELETED, 1, NOW)], None),
    ],
)
def test_a_state_that_compaction_need_not_remove_has_no_date(records, settings):
    place = states(found(*records), settings)

    assert (place.left, place.until, place.is_due(NOW)) == (1, None, True)


def test_a_state_that_was_rolled_back_is_removed_with_the_rest():
    place = states(found(state(CREATED, 0, NOW, rolled_back=True)), COMPACT)

    assert (place.left, place.is_due(NOW)) == (1, False)


def test_a_state_topic_that_deletes_goes_by_its_retention():
    place = states(found(state(CREATED, 0, NOW)), DELETE)

    assert place.until == NOW + 28 * DAY_MS + CHECK_MS


def test_ended_sessions_leave_with_their_topic():
    named = Record(partition=0, offset=0, key=b"sess_1", value=b"{}", timestamp=NOW)

    assert by_retention(found(named), "ended session", DELETE).until == NOW + 28 * DAY_MS + CHECK_MS


class Nothing:
    async def get(self, user_id):
        return None

    async def of_user(self, user_id):
        return StoredTraces()

    async def by_key(self, topic, key, *, all_partitions, rolled_back=False):
        assert all_partitions
        assert rolled_back
        return TopicSearch(topic=topic, partitions=6, searched=range(6))

    async def mentioning(self, topic, text):
        return TopicSearch(topic=topic, partitions=6, searched=range(6))


def facts(name, definition, **more):
    return TopicFacts(**{"topic": Topic(name, definition), "brokers": 1, "partitions": 6, "settings": DELETE, **more})


@pytest.mark.parametrize(("hidden", "due"), [(False, []), (True, ["state"])])
async def test_a_user_never_seen_leaves_nothing_anywhere_and_a_hidden_topic_is_not_known(hidden, due):
    async def examined():
        gone = {"partitions": None, "hidden": hidden}
        return [facts("events", EVENTS), facts("state", STATE, **gone), facts("sessions", SESSIONS)]

    erasure = await CheckErasure(Nothing(), Nothing(), Nothing(), examined)(USER)

    assert not erasure.deleted
    assert [place.name for place in erasure.places] == [
        *("users", "outbox", "outbox_dead", "revoked_session"),
        *("events", "state", "sessions"),
    ]
    assert [place.name for place in erasure.places if place.is_due(NOW)] == due
