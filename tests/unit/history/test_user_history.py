"""What the history says of each version, from what the places hold."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kafka.cloudevents import encode
from application.errors import UserUnknownError
from application.history.ports import DeadEvent, EndedSession, StoredTraces, TopicSearch, WaitingEvent
from application.history.user_history import ReadHistory, history_of
from application.relay.ports import Record
from domain.delete_user import delete_user
from domain.sync_user import sync_user
from support.message_headers import headers
from support.users import USER, deletion, snapshot, snapshots

TRACE = "0af7651916cd43dd8448eb211c80319c"


def life(*news, user=None):
    """Return the user after these snapshots, and the messages of the events on the way."""
    messages = []
    for one in news:
        decision = delete_user(user, one) if hasattr(one, "deleted_at") else sync_user(user, one)
        user = decision.user
        messages += map(encode, decision.events)
    return user, messages


def record(message, offset, partition=2, **more):
    found = headers(message) | more
    return Record(
        partition=partition, offset=offset, key=message.key.encode(), headers=found, value=message.payload, timestamp=5
    )


def waiting(message, **more):
    return WaitingEvent(**stored(message), **{"state_only": False, **more})


def dead(message, **more):
    error = {"id": 7, "error": "t: MessageSizeTooLargeError", "died_at": 9, "discarded_at": None}
    return DeadEvent(**{**stored(message), **error, **more})


def stored(message):
    return {
        "version": message.version,
        "type": message.type,
        "occurred_at": message.occurred_at,
        "payload": message.payload,
        "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
        "stored_at": 3,
    }


def found(*records, partitions=6, searched=(2,)):
    return TopicSearch(topic="t", partitions=partitions, searched=searched, records=records)


def changes(version):
    return [(change.field, change.before, change.after) for change in version.changes]


ADA = snapshot(at=1000, public_metadata={"plan": "free", "seats": 1})
AUGUSTA = snapshot(at=2000, first_name="Augusta", public_metadata={"plan": "pro", "seats": 1})
GRACE = snapshot(at=3000, first_name="Grace", public_metadata={"plan": "pro", "seats": True})


def test_each_version_says_what_changed_and_where_its_event_is():
    row, (first, second, third) = life(ADA, AUGUSTA, GRACE)

    history = history_of(
        USER, row, StoredTraces(waiting=[waiting(third)], dead=[dead(second)]), found(record(first, 17))
    )

    one, two, three = history.versions
    assert ("email", None, "ada@example.org") in changes(one)
    assert ("banned", None, False) not in changes(one)
    assert changes(two) == [
        ("first_name", "Ada", "Augusta"),
        ("public_metadata.plan", "free", "pro"),
    ]
    assert changes(three) == [("first_name", "Augusta", "Grace"), ("public_metadata.seats", 1, True)]
    assert [(at.partition, at.offset) for at in one.published] == [(2, 17)]
    assert (two.dead.id, three.waiting.stored_at, three.trace_id) == (7, 3, TRACE)
    assert (history.missing, history.deleted) == ([], False)


def test_an_event_that_was_delivered_again_is_one_version_in_two_places():
    row, (first,) = life(ADA)

    (version,) = history_of(
        USER, row, StoredTraces(waiting=[waiting(first)]), found(record(first, 3), record(first, 4))
    ).versions

    assert [at.offset for at in version.published] == [3, 4]
    assert version.waiting is None


def test_versions_that_are_nowhere_are_named_and_the_next_one_says_what_it_set():
    row, (_, _, third) = life(ADA, AUGUSTA, GRACE)

    history = history_of(USER, row, StoredTraces(), found(record(third, 40)))

    assert history.missing == [(1, 2)]
    (change, *_) = history.versions[0].changes
    assert (change.field, change.before_known, change.after) == ("first_name", False, "Grace")


def test_versions_behind_the_last_one_that_is_left_are_named_too():
    row, (first, *_) = life(ADA, AUGUSTA, GRACE)

    assert history_of(USER, row, StoredTraces(), found(record(first, 0))).missing == [(2, 3)]
    assert history_of(USER, row, StoredTraces(), found()).missing == [(1, 3)]


def test_of_a_deleted_user_no_value_is_shown_wherever_one_is_left():
    row, messages = life(ADA, AUGUSTA, deletion())
    records = [record(message, offset) for offset, message in enumerate(messages)]

    for known, searched in ((row, records[:2]), (None, records), (row, records)):
        history = history_of(USER, known, StoredTraces(dead=[dead(messages[0])]), found(*searched))

        assert history.deleted
        assert all(version.changes is None for version in history.versions)
        assert list(history.versions[1].changed) == ["first_name", "public_metadata"]


@pytest.mark.parametrize(
    "more",
    [
        {"ce_sequence": "x"},
        {"ce_sequence": "9" * 30},
        {"ce_sequence": "0" * 20},
        {"ce_sequence": str(2**63)},
        {"ce_sequence": "²"},
        {"ce_type": "com.example.thing"},
    ],
)
def test_what_is_no_event_of_ours_is_told_and_harms_nothing(more):
    row, (first,) = life(ADA)

    history = history_of(USER, row, StoredTraces(), found(record(first, 0), record(first, 1, **more)))

    assert [version.number for version in history.versions] == [1]
    assert [each.offset for each in history.unreadable] == [1]


@pytest.mark.parametrize(
    "value", [None, b"", b"[1]", b"\xff", b'{"user": 7}', b"[" * 100_000, b'{"user": {}, "changed": 7}']
)
def test_a_value_that_is_no_profile_leaves_the_version_without_changes(value):
    row, (first, second) = life(ADA, AUGUSTA)
    odd = Record(partition=2, offset=0, key=first.key.encode(), headers=headers(first), value=value)

    history = history_of(USER, row, StoredTraces(), found(odd, record(second, 1)))

    assert [version.number for version in history.versions] == [1, 2]
    assert {change.field for change in history.versions[1].changes} >= {"first_name"}


def test_what_waits_for_the_state_topic_alone_is_no_event():
    row, (first,) = life(ADA)

    history = history_of(USER, row, StoredTraces(waiting=[waiting(first, state_only=True)]), found())

    assert history.versions == []
    assert history.missing == [(1, 1)]


@given(st.lists(snapshots, min_size=1, max_size=6), st.data())
def test_the_changes_of_all_versions_lead_to_the_newest_profile(news, data):
    row, messages = life(*news)
    places = data.draw(
        st.lists(st.sampled_from(["topic", "outbox", "dead"]), min_size=len(messages), max_size=len(messages))
    )
    at = list(zip(places, messages, strict=True))

    history = history_of(
        USER,
        row,
        StoredTraces(
            waiting=[waiting(message) for place, message in at if place == "outbox"],
            dead=[dead(message) for place, message in at if place == "dead"],
        ),
        found(*(record(message, n) for n, (place, message) in enumerate(at) if place == "topic")),
    )

    profile = {}
    for version in history.versions:
        profile |= {change.field: change.after for change in version.changes}
    expected = json.loads(messages[-1].payload)["user"]
    metadata = {f"public_metadata.{name}": value for name, value in expected.pop("public_metadata").items()}
    for name in ("id", "version", "updated_at"):
        del expected[name]
    assert {name: value for name, value in profile.items() if value is not None} == {
        name: value
        for name, value in (expected | metadata).items()
        if value is not None
        and (value is not False or name in profile)
        and (value != [] or name in profile)
        and (value != {} or name in profile)
    }
    assert history.missing == []


class Places:
    """Every port of `ReadHistory`, with nothing or something in it."""

    def __init__(self, row=None, stored=None, search=None):
        self.row, self.stored, self.search = row, stored or StoredTraces(), search or found()

    async def get(self, user_id):
        return self.row

    async def of_user(self, user_id):
        return self.stored

    async def by_key(self, topic, key, *, all_partitions, rolled_back=False):
        return self.search


async def test_a_user_of_whom_there_is_no_trace_is_unknown_and_any_trace_is_a_history():
    _, (first,) = life(ADA)
    ended = EndedSession(id="sess_1", revoked_at=1, recorded_at=1)

    async def read(places):
        return await ReadHistory(places, places, places, "t")(USER)

    with pytest.raises(UserUnknownError):
        await read(Places())
    assert (await read(Places(search=found(record(first, 0))))).versions
    assert (await read(Places(stored=StoredTraces(dead=[dead(first)])))).versions
    assert (await read(Places(stored=StoredTraces(sessions=[ended])))).sessions == [ended]
