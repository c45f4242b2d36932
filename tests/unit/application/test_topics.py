"""A topic against its definition."""

import pytest
from attrs import evolve
from sdktest.rows import each_row

from application.relay.topics import (
    DAY_MS,
    EVENTS,
    TOPICS,
    Bound,
    Topic,
    TopicFacts,
    differences,
    min_in_sync,
    replication_factor,
)
from entrypoints.config.settings import KafkaSettings

FACTS = TopicFacts(
    topic=Topic("users", EVENTS),
    brokers=3,
    partitions=6,
    replication_factor=3,
    in_sync=3,
    settings={setting.name: setting.value for setting in EVENTS.settings},
)


@pytest.mark.parametrize("definition", TOPICS)
def test_a_topic_with_what_is_defined_has_no_difference(definition):
    copies = definition.replication_factor
    facts = evolve(
        FACTS,
        topic=Topic("x", definition),
        partitions=definition.partitions,
        settings={
            **{setting.name: setting.value for setting in definition.settings},
            "min.insync.replicas": str(min_in_sync(copies)),
        },
    )

    assert [*differences(facts)] == []


@pytest.mark.parametrize("definition", TOPICS)
def test_each_topic_is_named_by_a_variable_with_its_default_name(definition):
    assert hasattr(KafkaSettings, definition.variable.lower())
    assert definition.default_name.startswith(("auth.user.", "auth.session."))


@each_row(
    ("bound", "found", "defined", "admitted"),
    [
        (Bound.EXACTLY, "delete", "delete", True),
        (Bound.EXACTLY, "compact", "delete", False),
        (Bound.AT_LEAST, "5", "10", False),
        (Bound.AT_LEAST, "10", "10", True),
        (Bound.AT_LEAST, "-1", "10", True),
        (Bound.AT_MOST, "9", "10", True),
        (Bound.AT_MOST, "11", "10", False),
        (Bound.AT_MOST, "-1", "10", False),
        (Bound.AT_MOST, "9223372036854775807", "10", False),
    ],
)
def test_a_bound_admits_what_is_within_it(bound, found, defined, admitted):
    assert bound.admits(found, defined) is admitted


@pytest.mark.parametrize(("brokers", "copies", "in_sync"), [(1, 1, 1), (2, 2, 1), (3, 3, 2), (9, 3, 2)])
def test_there_are_no_more_copies_than_brokers(brokers, copies, in_sync):
    assert replication_factor(EVENTS, brokers) == copies
    assert min_in_sync(copies) == in_sync


def test_a_number_of_partitions_of_your_own_is_compared_instead():
    [difference] = differences(FACTS, partitions=12)

    assert (difference.what, difference.found, difference.defined) == ("partitions", "6", "at least 12")
    assert [*differences(evolve(FACTS, partitions=12), partitions=12)] == []


def test_settings_that_may_not_be_read_are_not_compared():
    assert [*differences(evolve(FACTS, settings=None))] == []


def test_events_leave_kafka_within_a_month():
    """Kafka deletes a segment as a whole, when its newest record is past the retention."""
    values = {setting.name: int(setting.value) for setting in EVENTS.settings if setting.name.endswith(".ms")}

    assert values["retention.ms"] + values["segment.ms"] <= 28 * DAY_MS


def test_a_topic_with_kafkas_own_segments_keeps_events_for_too_long():
    """As topics were made before segments were bounded: 28 days, and Kafka's 7 days for a segment."""
    settings = {**FACTS.settings, "retention.ms": str(28 * DAY_MS), "segment.ms": str(7 * DAY_MS)}
    found = [*differences(evolve(FACTS, settings=settings))]

    assert [(each.what, each.defined) for each in found] == [
        ("retention.ms", f"at most {27 * DAY_MS}"),
        ("segment.ms", f"at most {DAY_MS}"),
    ]
    assert not any(each.vital for each in found)
