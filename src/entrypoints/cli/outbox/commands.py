"""`auth-service outbox`: how the outbox stands, and what to do with its dead letters."""

import asyncio
import itertools
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, TypeVar

from cyclopts import App

from application.counting import counted
from application.relay.dead_letters import OutboxStatus, Repair, publish_rate
from application.relay.ports import OutboxAdministration
from entrypoints.cli.confirmation import Yes, confirm
from entrypoints.cli.exit_codes import EX_NOT_DONE, EX_USAGE
from entrypoints.cli.options import between
from entrypoints.cli.outbox.output import as_json, print_json, print_letters, print_status
from entrypoints.cli.startup import container_for, run
from entrypoints.cli.terminal import console_for_stdout, fail, on_terminal
from entrypoints.composition.database import DatabaseContainer
from entrypoints.config.settings import MigrateSettings

BETWEEN_READINGS_S = 1.0

T = TypeVar("T")
Ids = Annotated[int, between(1, 2**63 - 1)]

app = App(name="outbox", help="Show the outbox; retry or discard dead letters.")


@app.command
def status(
    *,
    watch: bool = False,
    every: Annotated[float | None, between(0.2, 86_400)] = None,
    json: bool = False,  # the option's name
) -> None:
    """Show waiting events, their age, the rate of publication, relays and lanes, and what blocks vacuum.

    Needs DATABASE_URL, from the environment, `.env`, or the `auth-service dev` that runs here. A transaction that
    blocks vacuum is seen in other roles' sessions only by a member of pg_monitor.

    Args:
        watch: Repeat until Ctrl-C.
        every: Seconds between two readings of --watch; 2 when left out.
        json: One object a reading, with all lanes, for other programs.
    """
    if every and not watch:
        fail("--every needs --watch.", EX_USAGE)
    show = print_json if json else _clear_and_print if watch and on_terminal() else print_status
    _run(lambda admin: _status(admin, readings=None if watch else 1, every=every or 2.0, show=show))


@app.command
def dead(
    *,
    discarded: bool = False,
    limit: Annotated[int, between(1, 1_000_000)] = 100,
    json: bool = False,  # the option's name
) -> None:
    """List the dead letters: events that Kafka refused permanently. Their content is never shown.

    Args:
        discarded: Also those that were discarded, and why.
        limit: At most so many, the newest first.
        json: One object a line, for other programs.
    """
    letters = _run(lambda admin: admin.dead(limit=limit, discarded=discarded))
    if json:
        for letter in letters:
            print(as_json(letter))
    elif letters:
        print_letters(letters)
    else:
        print("There are no dead letters.", file=sys.stderr)


@app.command
def retry(*ids: Ids) -> None:
    """Send dead letters again, with the same event ids; remove the cause first, such as a topic's limit.

    Exit status 1 when any of them could not be retried; the others were.

    Args:
        ids: As `outbox dead` shows them.
    """
    _require(ids)
    _report(_run(lambda admin: admin.retry(ids)))


@app.command
def discard(*ids: Ids, reason: str | None = None, yes: Yes = False) -> None:
    """Discard dead letters: their data is erased; the record and the reason are kept.

    A user's next event carries the full state, so consumers lose a step, not the user. Exit status 1 when any of them
    could not be discarded; the others were.

    Args:
        ids: As `outbox dead` shows them.
        reason: Why; kept with the dead letter.
    """
    _require(ids)
    if not (reason := (reason or "").strip()):
        fail("A reason is needed: --reason. Nothing was done.", EX_USAGE)
    which = f"dead letter {ids[0]}" if len(ids) == 1 else counted(len(ids), "dead letter")
    confirm(f"Discard {which}? Their data is erased, for ever.", yes=yes)
    _report(_run(lambda admin: admin.discard(ids, reason)))


def _require(ids: Sequence[int]) -> None:
    if not ids:
        fail("Name at least one ID; `auth-service outbox dead` shows them. Nothing was done.", EX_USAGE)


def _report(repairs: Mapping[int, Repair]) -> None:
    for number, repair in repairs.items():
        print(f"{number}: {repair}", file=sys.stdout if repair.done else sys.stderr)
    if not all(repair.done for repair in repairs.values()):
        sys.exit(EX_NOT_DONE)


def _run(ask: Callable[[OutboxAdministration], Awaitable[T]]) -> T:
    return run(container_for(DatabaseContainer, MigrateSettings), lambda container: ask(container.outbox_admin()))


def _clear_and_print(status: OutboxStatus, rate: float) -> None:
    console_for_stdout().clear()
    print_status(status, rate)


async def _status(
    admin: OutboxAdministration, *, readings: int | None, every: float, show: Callable[[OutboxStatus, float], None]
) -> None:
    before = await admin.status()
    pause = BETWEEN_READINGS_S
    for _ in itertools.count() if readings is None else range(readings):
        await asyncio.sleep(pause)
        after = await admin.status()
        show(after, publish_rate(before, after))
        before, pause = after, every
