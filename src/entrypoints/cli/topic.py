"""`auth-service topic`: the topics as they are defined, the state of all users, and versions that went back."""

import asyncio
import json as json_
import sys
import time
from typing import Annotated, TypeAlias

from attrs import asdict
from cyclopts import App, Parameter
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from application.counting import counted
from application.errors import SafetyStopError, UnstorableError
from application.relay.fill_state import Filled
from application.relay.topics import STATE, TopicFacts, differences
from domain.user import parse_user_id
from entrypoints.cli.confirmation import Yes, confirm
from entrypoints.cli.exit_codes import EX_CONFIG, EX_DATAERR, EX_NOT_DONE, EX_USAGE
from entrypoints.cli.options import between, moment, read_option
from entrypoints.cli.output import flush, print_table
from entrypoints.cli.startup import container_for, require_secret_key, run
from entrypoints.cli.terminal import console_for_progress, fail
from entrypoints.composition import container_of
from entrypoints.composition.lifecycle import acting
from entrypoints.composition.topics import TopicsContainer
from entrypoints.config.loading import load
from entrypoints.config.settings import EventsSettings, FillSettings, RepairSettings

app = App(
    name="topic", help="Create the topics, compare them with their definition, fill the state topic, repair versions."
)

Partitions: TypeAlias = Annotated[int | None, between(1, 2**31 - 1)]
"""The bound is that of Kafka's protocol, as for the replication factor."""


@app.command
def create(
    *,
    partitions: Partitions = None,
    replication_factor: Annotated[int | None, between(1, 2**15 - 1)] = None,
    add_partitions: bool = False,
    yes: Yes = False,
) -> None:
    """Create the topics that are missing; existing ones are compared, not changed.

    Needs KAFKA_BOOTSTRAP_SERVERS and the right to create topics. Creates KAFKA_USER_EVENTS_TOPIC,
    KAFKA_SESSION_EVENTS_TOPIC, and KAFKA_USER_STATE_TOPIC where it is set, with the settings that they are defined
    with. Running it again changes nothing. Ends with 1 when a topic exists and its events would be lost or withheld.

    Args:
        partitions: Of each topic, instead of what is defined: at most as many consumers of one group share the work.
        replication_factor: Copies of each partition, instead of three, or as many as there are brokers.
        add_partitions: Raise a topic that exists to `--partitions`, except the state topic. Keys move to other
            partitions by it, and Kafka keeps order within one only: stop the relays, let consumers read to the end, add
            the partitions, start the relays. Asks first, as it cannot be undone.
    """
    if add_partitions and not partitions:
        fail("--add-partitions needs --partitions. Nothing was done.", EX_USAGE)
    if add_partitions and partitions:
        confirm(
            f"Raise topics to {counted(partitions, 'partition')}? Keys move to other partitions, for good.", yes=yes
        )
    container = container_for(TopicsContainer, EventsSettings)
    created = asyncio.run(container.create_topics(partitions=partitions, copies=replication_factor))
    found = asyncio.run(container.examine_topics())
    if add_partitions and partitions:
        for facts in found:
            if (facts.partitions or 0) < partitions and facts.topic.definition is STATE:
                print(
                    f"{facts.topic.name} keeps its partitions: states in those of before would stay, also after a "
                    "deletion. For more, name a new topic in KAFKA_USER_STATE_TOPIC, create it and fill it.",
                    file=sys.stderr,
                )
            elif (facts.partitions or 0) < partitions:
                print(
                    f"{facts.topic.name}: {counted(facts.partitions or 0, 'partition')} become {partitions}; keys move."
                )
                asyncio.run(container.add_partitions(facts.topic.name, partitions=partitions))
        found = asyncio.run(container.examine_topics())
    for facts in found:
        what = "created" if facts.topic.name in created else "exists"
        size = f"{counted(facts.partitions or 0, 'partition')}, replication factor {facts.replication_factor}"
        print(f"{facts.topic.name}: {what}, {size}.")
    _print_out_of_reach(found)
    _print_differences(found, partitions)
    sys.exit(any(difference.vital for facts in found for difference in differences(facts, partitions=partitions)))


@app.command
def check(*, partitions: Partitions = None, json: bool = False) -> None:
    """Compare the topics with their definition, and end with 1 if one is missing, differs or is unreachable.

    Needs KAFKA_BOOTSTRAP_SERVERS, and changes nothing. More than is defined (partitions, copies) is no difference.

    Args:
        partitions: At least so many, instead of what is defined.
        json: One object by topic, for other programs.
    """
    found = asyncio.run(container_for(TopicsContainer, EventsSettings).examine_topics())
    if json:
        print(json_.dumps({facts.topic.name: _json(facts, partitions) for facts in found}, indent=2))
    else:
        _print_out_of_reach(found)
        for facts in found:
            if facts.partitions is None:
                print(f"{facts.topic.name}: {'hidden from us by an ACL' if facts.hidden else 'does not exist'}.")
            elif not any(differences(facts, partitions=partitions)):
                print(f"{facts.topic.name}: as it is defined.")
        _print_differences(found, partitions)
    sys.exit(
        any(
            facts.partitions is None or facts.out_of_reach or any(differences(facts, partitions=partitions))
            for facts in found
        )
    )


@app.command
def fill(*, after: Annotated[str | None, Parameter(name="--after")] = None) -> None:
    """Write every user's newest version to the state topic, when it is new or was lost.

    Needs DATABASE_URL and KAFKA_USER_STATE_TOPIC, and relays with the same variable: they write it, after their events,
    so it can run beside everything else and be repeated. Ends when all are written; interrupting it loses nothing.

    Args:
        after: Continue after this user (`user_…`), which an interrupted run printed.
    """
    settings = load(FillSettings)
    if settings.kafka.kafka_user_state_topic is None:
        fail("KAFKA_USER_STATE_TOPIC is not set: there is nothing to fill.", EX_CONFIG)
    begin_after = None if after is None else read_option("--after", lambda: parse_user_id(after))
    from entrypoints.composition.database import DatabaseContainer  # noqa: PLC0415  # not for the other `topic` commands

    async def put_all(container: DatabaseContainer) -> None:
        done = Filled(put=0, last=begin_after, waiting=0)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        try:
            with Progress(*columns, console=console_for_progress(), transient=True) as progress:
                task = progress.add_task("")
                async for done in container.fill_state()(begin_after):
                    says = f"{counted(done.put, 'user')} put, {done.waiting:,} wait for a relay"
                    progress.update(task, description=says)
        except BaseException:
            if done.last:
                print(f"Not finished. Continue with: auth-service topic fill --after {done.last}", file=sys.stderr)
            raise
        print(f"{counted(done.put, 'user is', 'users are')} in the state topic.")

    run(container_of(DatabaseContainer, settings), put_all)


@app.command
def repair(*, since: str, dry_run: bool = False) -> None:
    """Publish users again whose version went back: after a failover that lost commits, or a restore from a backup.

    Needs DATABASE_URL, KAFKA_BOOTSTRAP_SERVERS and CLERK_SECRET_KEY. Run `reconcile` first, and this while the relays
    run. It reads the event topic and compares: a user of whom the topic has a later version than the table, or the same
    version with other content, gets Clerk's current state and is published under the next free version, which no
    consumer drops. A user who is only in the topic, or deleted there, and whom Clerk does not have, is published as
    deleted. Running it again changes nothing.

    Exit status: 0 nothing to do, or all is repaired; 1 --dry-run found users; 65 safety stop, or what Clerk has of a
    user, who is named, cannot be read or stored, and all others are repaired; 69 out of reach.

    Args:
        since: Compare what was published since then: a time well before the failover, or before the backup that was
            restored. `90m`, `24h`, `7d`, a date, or a time with its offset.
        dry_run: Only list the users.
    """
    now_ms = time.time_ns() // 1_000_000
    since_ms = read_option("--since", lambda: moment(since, now_ms))
    from entrypoints.composition.repair import RepairContainer  # noqa: PLC0415  # not for the other `topic` commands

    async def repair_all(container: RepairContainer) -> int:
        found = 0
        async for user_id in container.overtake_seen()(since_ms, dry_run=dry_run):
            print(user_id)
            found += 1
        return found

    container = container_for(RepairContainer, RepairSettings)
    require_secret_key(container.clerk_api())
    try:
        found = run(container, repair_all, acting)
    except (SafetyStopError, UnstorableError) as error:
        fail(str(error), EX_DATAERR)
    done = "would be published again" if dry_run else "published again"
    print(f"{counted(found, 'user')} {done}, above what consumers have seen.")
    sys.exit(EX_NOT_DONE if dry_run and found else 0)


def _json(facts: TopicFacts, partitions: int | None) -> dict[str, object]:
    return {
        "exists": facts.partitions is not None,
        "partitions": facts.partitions,
        "replication_factor": facts.replication_factor or None,
        "brokers_out_of_reach": [str(failure) for failure in facts.out_of_reach],
        "differences": [asdict(difference) for difference in differences(facts, partitions=partitions)],
    }


def _print_out_of_reach(found: list[TopicFacts]) -> None:
    for failure in found[0].out_of_reach:  # the same for all of one cluster
        print(f"{failure}: {failure.advice}.")


def _print_differences(found: list[TopicFacts], partitions: int | None) -> None:
    rows = [
        (facts.topic.name, difference.what, difference.found, difference.defined, difference.why)
        for facts in found
        for difference in differences(facts, partitions=partitions)
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
