"""`auth-service doctor`: what is wrong, and what to do about it."""

import asyncio
import json as json_
import logging
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

import httpx
from attrs import asdict, frozen
from rich.text import Text

from application.counting import counted
from application.doctor.clerk import ClerkFacts, clerk_findings
from application.doctor.clocks import clock_findings
from application.doctor.database import DatabaseFacts, database_findings, write_findings
from application.doctor.findings import Finding, Severity, Unanswered, not_checked, passed
from application.doctor.outbox import outbox_findings
from application.doctor.replica import replica_findings
from application.doctor.serving import ServingFacts, serving_findings
from application.doctor.topics import topic_findings
from application.errors import BrokerUnavailableError, StoreUnavailableError
from application.failure import CLERK, KAFKA, POSTGRES, REPLICA, Cause, Failure
from application.relay.dead_letters import OutboxStatus
from application.relay.topics import TopicFacts
from entrypoints.cli.doctor.configuration import Configured, configured
from entrypoints.cli.output import flush, print_table
from entrypoints.cli.terminal import on_terminal
from entrypoints.config.settings import (
    ClerkApiSettings,
    DatabaseSettings,
    HttpSettings,
    KafkaSettings,
    ProxySettings,
    ReplicaSettings,
    TokenSettings,
)

LIMIT_S = 20.0
"""For each check; they run side by side."""

_COLOURS = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.FAILURE: "red"}

T = TypeVar("T")


def doctor(*, json: bool = False, strict: bool = False) -> None:
    """Examine configuration, database, outbox, Kafka and Clerk, and say what to do about each finding.

    Looks at whatever is configured, in the environment, `.env`, or the `auth-service dev` that runs here, and says
    what it could not look at. Changes nothing: the one write that it tries is rolled back. Ends with 1 when something
    has failed, and with 0 otherwise.

    Args:
        json: One list of findings, for other programs.
        strict: End with 1 for warnings too.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what is wrong is said below, once
    found = configured()
    if proxies := found.get(ProxySettings):
        proxies.export()
    findings = [*found.findings, *asyncio.run(_examine(found))]
    if json:
        print(json_.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _print_table(findings)
    sys.exit(not passed(findings, strict=strict))


@frozen
class _Facts:
    """What was found out; None where nothing is configured to ask."""

    database: DatabaseFacts | Unanswered | None
    written: Unanswered | None
    replicas: Mapping[str, Failure | None] | Unanswered | None
    outbox: OutboxStatus | Unanswered | None
    topics: list[TopicFacts] | Unanswered | None
    clerk: ClerkFacts | Unanswered
    serving: ServingFacts | Unanswered | None


async def _examine(found: Configured) -> list[Finding]:
    container = found.container
    database, replica, http = found.get(DatabaseSettings), found.get(ReplicaSettings), found.get(HttpSettings)
    has_replica = database and replica and replica.database_replica_url
    try:
        (primary, written, replicas), outbox, topics, clerk, serving = await asyncio.gather(
            asyncio.gather(
                _ask(POSTGRES, container.examine_database()) if database else _nothing(),
                _ask(POSTGRES, container.try_writing()) if database else _nothing(),
                _ask(REPLICA, container.examine_replicas()) if has_replica else _nothing(),
            ),
            _ask(POSTGRES, container.outbox_admin().status) if database else _nothing(),
            _ask(KAFKA, container.examine_topics()) if found.get(KafkaSettings) else _nothing(),
            _ask(CLERK, lambda: container.examine_clerk()(found.get(TokenSettings), found.get(ClerkApiSettings))),
            _ask("serve", partial(_ask_serve, http)) if http else _nothing(),
        )
    finally:
        if database:
            await container.engine().dispose()
    return [*_findings(_Facts(primary, written, replicas, outbox, topics, clerk, serving))]


async def _ask_serve(settings: HttpSettings) -> ServingFacts:
    """Ask the `serve` on this machine for its failures: a wrong signing secret shows nowhere else."""
    address = settings.base_url
    try:
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            document = (await client.get(f"{address}/health")).json()
        return ServingFacts(
            address=address,
            answers=True,
            checks=document["checks"],
            causes=document["causes"],
            labels=document.get("labels", {}),  # the release before has none
        )
    except (httpx.HTTPError, ValueError, KeyError, TypeError):  # no service, or another one, listens there
        return ServingFacts(address=address, answers=False)


async def _ask(subject: str, question: Callable[[], Awaitable[T]], limit_s: float = LIMIT_S) -> T | Unanswered:
    """Ask, in bounded time; a failure is an answer too, so that no check hides another."""
    try:
        async with asyncio.timeout(limit_s):
            return await question()
    except TimeoutError:
        return Unanswered(Failure(subject, Cause.NO_ANSWER, f"{limit_s:g} s"))
    except (StoreUnavailableError, BrokerUnavailableError) as error:
        return Unanswered(error.failure)
    except Exception as error:  # noqa: BLE001
        return Unanswered(Failure(subject, Cause.OTHER, f"{type(error).__name__} in the check itself, which is a bug"))


async def _nothing() -> None:
    return None


def _findings(facts: _Facts) -> Iterator[Finding]:
    clocks: dict[str, float] = {}
    if facts.database is not None:
        yield from database_findings(facts.database)
        yield from write_findings(facts.database, facts.written)
        if isinstance(facts.database, DatabaseFacts):
            clocks["PostgreSQL"] = facts.database.clock_ahead_s
    if facts.replicas is not None:
        yield from replica_findings(facts.replicas)
    if facts.outbox is not None:
        yield from outbox_findings(facts.outbox)
    if facts.topics is not None:
        yield from topic_findings(facts.topics)
    if isinstance(facts.clerk, Unanswered):
        yield not_checked("clerk", str(facts.clerk.failure))
    else:
        yield from clerk_findings(facts.clerk)
        if facts.clerk.clock_ahead_s is not None:
            clocks["Clerk"] = facts.clerk.clock_ahead_s
    yield from clock_findings(clocks)
    if isinstance(facts.serving, ServingFacts):
        yield from serving_findings(facts.serving)


def _print_table(findings: Sequence[Finding]) -> None:
    rows = [
        (finding.check, Text(finding.grade, _COLOURS[finding.grade]), finding.says, finding.advice)
        for finding in findings
    ]
    print_table(("check", "grade", "finding", "what to do"), rows, prose={"finding", "what to do"})
    flush()
    count = Counter(finding.grade for finding in findings)
    summary = f"{counted(count[Severity.FAILURE], 'failure')}, {counted(count[Severity.WARNING], 'warning')}."
    print(f"\n{summary}" if on_terminal() else summary, file=sys.stderr)
