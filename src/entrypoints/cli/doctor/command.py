"""`auth-service doctor`: what is wrong, and what to do about it."""

import asyncio
import json as json_
import logging
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import httpx
from attrs import asdict
from rich.text import Text

from application.counting import counted
from application.doctor.clerk import ClerkFacts, clerk_findings
from application.doctor.clocks import clock_findings
from application.doctor.database import DatabaseFacts, database_findings, replica_findings, write_findings
from application.doctor.findings import Finding, Severity, Unanswered, not_checked, passed
from application.doctor.outbox import outbox_findings
from application.doctor.serving import ServingFacts, serving_findings
from application.doctor.topics import topic_findings
from application.errors import BrokerUnavailableError, StoreUnavailableError
from application.failure import CLERK, KAFKA, POSTGRES, REPLICA, Cause, Failure
from entrypoints.cli.doctor.configuration import Configured, configured
from entrypoints.cli.output import flush, print_table
from entrypoints.cli.terminal import on_terminal
from entrypoints.config import settings

LIMIT_S = 20.0  # for each check; they run side by side

_COLOURS = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.FAILURE: "red"}

T = TypeVar("T")


def doctor(*, json: bool = False, strict: bool = False) -> None:
    """Check configuration, database, outbox, Kafka and Clerk, and say what to do about each finding.

    Checks whatever is configured, in the environment, `.env`, or the `auth-service dev` that runs here, and names
    what it could not check. Changes nothing: its one trial write is rolled back. Ends with 1 when something
    has failed, and with 0 otherwise.

    Args:
        json: One list of findings, for other programs.
        strict: End with 1 for warnings too.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what is wrong is said below, once
    found = configured()
    if proxies := found.get(settings.ProxySettings):
        proxies.export()
    findings = [*found.findings, *asyncio.run(_examine(found))]
    if json:
        print(json_.dumps([{**asdict(finding), "runbook": finding.runbook} for finding in findings], indent=2))
    else:
        _print_table(findings)
    sys.exit(not passed(findings, strict=strict))


async def _examine(found: Configured) -> list[Finding]:
    get, container = found.get, found.container
    database, replica, http = get(settings.DatabaseSettings), get(settings.ReplicaSettings), get(settings.HttpSettings)
    has_replica = database and replica and replica.database_replica_url
    try:
        (primary, written, replicas), outbox, topics, clerk, serving = await asyncio.gather(
            asyncio.gather(
                _ask(POSTGRES, container.examine_database) if database else _nothing(),
                _ask(POSTGRES, container.try_writing) if database else _nothing(),
                _ask(REPLICA, container.examine_replicas) if has_replica else _nothing(),
            ),
            _ask(POSTGRES, container.outbox_admin().status) if database else _nothing(),
            _ask(KAFKA, container.examine_topics) if get(settings.KafkaSettings) else _nothing(),
            _ask(CLERK, lambda: container.examine_clerk(get(settings.TokenSettings), get(settings.ClerkApiSettings))),
            _ask("serve", partial(_ask_serve, http)) if http else _nothing(),
        )
    finally:
        if database:
            await container.engine().dispose()
    clocks = {"PostgreSQL": primary.clock_ahead_s} if isinstance(primary, DatabaseFacts) else {}
    if isinstance(clerk, ClerkFacts) and clerk.clock_ahead_s is not None:
        clocks["Clerk"] = clerk.clock_ahead_s
    return [
        *((*database_findings(primary), *write_findings(primary, written)) if primary else ()),
        *(() if replicas is None else replica_findings(replicas)),
        *(outbox_findings(outbox) if outbox else ()),
        *(() if topics is None else topic_findings(topics)),
        *([not_checked("clerk", str(clerk.failure))] if isinstance(clerk, Unanswered) else clerk_findings(clerk)),
        *clock_findings(clocks),
        *(serving_findings(serving) if isinstance(serving, ServingFacts) else ()),
    ]


async def _ask_serve(http: settings.HttpSettings) -> ServingFacts:
    """Ask the `serve` on this machine for its failures: a wrong signing secret shows nowhere else."""
    address = http.base_url
    try:
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            document = (await client.get(f"{address}/health")).json()
        checks, causes, labels = document["checks"], document["causes"], document.get("labels", {})  # none: of before
        return ServingFacts(address=address, answers=True, checks=checks, causes=causes, labels=labels)
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


def _print_table(findings: Sequence[Finding]) -> None:
    rows = [
        (
            finding.check,
            Text(finding.severity, _COLOURS[finding.severity]),
            finding.says,
            "; see ".join(filter(None, (finding.advice, finding.runbook))),
        )
        for finding in findings
    ]
    print_table(("check", "severity", "finding", "what to do"), rows, prose={"finding", "what to do"})
    flush()
    count = Counter(finding.severity for finding in findings)
    summary = f"{counted(count[Severity.FAILURE], 'failure')}, {counted(count[Severity.WARNING], 'warning')}."
    print(f"\n{summary}" if on_terminal() else summary, file=sys.stderr)
