"""`auth-service doctor`: what is wrong, and what to do about it."""

import asyncio
import json as json_
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from attrs import asdict
from rich.table import Table

from application.errors import BrokerUnavailableError, StoreUnavailableError
from application.examination import Finding, Grade, database_findings, outbox_findings, topic_findings
from entrypoints.container import Container, container_for
from entrypoints.local.environment import DATA_DIR, load_beside_dev
from entrypoints.local.program import console_for_stdout
from entrypoints.settings import DoctorSettings

_COLOURS = {Grade.OK: "green", Grade.WARNING: "yellow", Grade.FAILURE: "red"}


def doctor(*, json: bool = False, data_dir: Path = DATA_DIR) -> None:
    """Examine configuration, database, outbox and topic, and say what to do about each finding.

    Needs DATABASE_URL and KAFKA_BOOTSTRAP_SERVERS, from the environment, `.env`, or the `auth-service dev` that runs
    here. Ends with 1 when something has failed, and with 0 otherwise.

    Parameters
    ----------
    json
        One list of findings, for other programs.
    data_dir
        Data folder of `auth-service dev`.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what is wrong is said below, once
    settings = load_beside_dev(DoctorSettings, data_dir)
    findings = asyncio.run(_findings(container_for(settings)))
    if json:
        _print_json(findings)
    else:
        _print_table(findings)
    sys.exit(any(finding.grade is Grade.FAILURE for finding in findings))


async def _findings(container: Container) -> list[Finding]:
    return [finding async for finding in _examine(container)]


async def _examine(container: Container) -> AsyncIterator[Finding]:
    yield Finding("configuration", Grade.OK, "every variable that was looked at is well-formed")
    try:
        facts = await container.examine_database()()
        for finding in database_findings(facts):
            yield finding
        if facts.revision == facts.head:
            for finding in outbox_findings(await container.outbox_admin().status()):
                yield finding
    except StoreUnavailableError as error:
        yield Finding("database", Grade.FAILURE, str(error), "check DATABASE_URL, the server and the way to it")
    finally:
        await container.engine().dispose()
    try:
        for finding in topic_findings(await container.examine_topic()()):
            yield finding
    except BrokerUnavailableError as error:
        advice = "check KAFKA_BOOTSTRAP_SERVERS, KAFKA_SECURITY_PROTOCOL and KAFKA_SASL_*, and the brokers"
        yield Finding("kafka", Grade.FAILURE, str(error), advice)


def _print_json(findings: list[Finding]) -> None:
    print(json_.dumps([asdict(finding) for finding in findings], indent=2))


def _print_table(findings: list[Finding]) -> None:
    table = Table("check", "", "what", "what to do", box=None, pad_edge=False)
    for finding in findings:
        colour = _COLOURS[finding.grade]
        table.add_row(finding.check, f"[{colour}]{finding.grade}[/]", finding.says, finding.advice)
    console_for_stdout().print(table)
