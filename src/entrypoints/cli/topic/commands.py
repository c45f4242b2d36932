"""`auth-service topic create|check`: the topics, as they are defined."""

import asyncio
import json as json_
import sys
from collections.abc import Iterator

from attrs import asdict
from cyclopts import App

from application.counting import counted
from application.doctor.findings import advice_for
from application.relay.topics import TopicDifference, TopicFacts, differences
from entrypoints.cli.beginning import begin
from entrypoints.cli.confirmation import Yes, confirm
from entrypoints.cli.output import flush, print_table
from entrypoints.cli.topic.fill import fill
from entrypoints.cli.topic.repair import repair
from entrypoints.composition.topics import TopicsContainer
from entrypoints.config.settings import EventsSettings

app = App(
    name="topic", help="Make the topics, compare them with their definition, fill the state topic, repair versions."
)
app.command(fill)
app.command(repair)


@app.command
def create(
    *,
    partitions: int | None = None,
    replication_factor: int | None = None,
    add_partitions: bool = False,
    yes: Yes = False,
) -> None:
    """Create the topics that are missing; what exists is compared, and left as it is.

    Needs KAFKA_BOOTSTRAP_SERVERS and the right to create topics. Creates KAFKA_USER_EVENTS_TOPIC,
    KAFKA_SESSION_EVENTS_TOPIC, and KAFKA_USER_STATE_TOPIC where it is set, with the settings that they are defined
    with. Running it again changes nothing. Ends with 1 when a topic exists and its events would be lost or withheld.

    Args:
        partitions: Of each topic, instead of what is defined: at most as many consumers of one group share the work.
        replication_factor: Copies of each partition, instead of three, or as many as there are brokers.
        add_partitions: Raise a topic that exists to `--partitions`. Keys move to other partitions by it, and Kafka
            keeps order within one only: stop the relays, let consumers read to the end, add the partitions, start the
            relays. Asks first, as it cannot be undone.
    """
    if add_partitions and partitions:
        confirm(
            f"Raise topics to {counted(partitions, 'partition')}? Keys move to other partitions, for good.",
            yes=yes,
        )
    container = begin(TopicsContainer, EventsSettings)
    created = asyncio.run(container.create_topics()(partitions=partitions, copies=replication_factor))
    found = asyncio.run(container.examine_topics()())
    if add_partitions and partitions:
        for facts in found:
            if (facts.partitions or 0) < partitions:
                print(
                    f"{facts.topic.name}: {counted(facts.partitions or 0, 'partition')} become {partitions}; keys move."
                )
                asyncio.run(container.add_partitions()(facts.topic.name, partitions=partitions))
        found = asyncio.run(container.examine_topics()())
    for facts in found:
        what = "created" if facts.topic.name in created else "exists"
        size = f"{counted(facts.partitions or 0, 'partition')}, replication factor {facts.replication_factor}"
        print(f"{facts.topic.name}: {what}, {size}.")
    _print_out_of_reach(found)
    _print_differences(found, partitions)
    sys.exit(any(difference.vital for facts in found for difference in _differences(facts, partitions)))


@app.command
def check(*, partitions: int | None = None, json: bool = False) -> None:
    """Compare the topics with their definition, and end with 1 when something is missing, differs or is out of reach.

    Needs KAFKA_BOOTSTRAP_SERVERS, and changes nothing. More than is defined (partitions, copies) is no difference.

    Args:
        partitions: At least so many, instead of what is defined.
        json: One object by topic, for other programs.
    """
    found = asyncio.run(begin(TopicsContainer, EventsSettings).examine_topics()())
    if json:
        print(json_.dumps({facts.topic.name: _json(facts, partitions) for facts in found}, indent=2))
    else:
        _print_out_of_reach(found)
        for facts in found:
            if facts.partitions is None:
                print(f"{facts.topic.name}: {'hidden from us by an ACL' if facts.hidden else 'does not exist'}.")
            elif not any(_differences(facts, partitions)):
                print(f"{facts.topic.name}: as it is defined.")
        _print_differences(found, partitions)
    sys.exit(
        any(facts.partitions is None or facts.out_of_reach or any(_differences(facts, partitions)) for facts in found)
    )


def _differences(facts: TopicFacts, partitions: int | None) -> Iterator[TopicDifference]:
    if facts.partitions is not None:
        yield from differences(facts, partitions=partitions)


def _json(facts: TopicFacts, partitions: int | None) -> dict[str, object]:
    return {
        "exists": facts.partitions is not None,
        "partitions": facts.partitions,
        "replication_factor": facts.replication_factor or None,
        "brokers_out_of_reach": [str(failure) for failure in facts.out_of_reach],
        "differences": [asdict(difference) for difference in _differences(facts, partitions)],
    }


def _print_out_of_reach(found: list[TopicFacts]) -> None:
    for failure in found[0].out_of_reach:  # the same for all of one cluster
        print(f"{failure}: {advice_for(failure)}.")


def _print_differences(found: list[TopicFacts], partitions: int | None) -> None:
    rows = [
        (facts.topic.name, difference.what, difference.found, difference.defined, difference.why)
        for facts in found
        for difference in _differences(facts, partitions)
    ]
    if not rows:
        return
    print()
    print_table(("topic", "setting", "is", "defined", "why it matters"), rows, prose={"why it matters"})
    flush()
    print(
        "\nSettings: kafka-configs.sh --alter --entity-type topics --entity-name TOPIC --add-config NAME=VALUE\n"
        "Partitions: auth-service topic create --partitions N --add-partitions (keys move; read its --help first)",
        file=sys.stderr,
    )
