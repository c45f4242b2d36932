"""`auth-service outbox`: how the outbox stands, and what to do with its dead letters."""

import asyncio
import itertools
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.live import Live

from application.errors import StoreUnavailableError
from application.outbox_status import OutboxStatus, Repair, publish_rate
from entrypoints.cli.outbox_output import as_json, letters_table, picture, print_json
from entrypoints.configuration import EX_UNAVAILABLE
from entrypoints.container import container_for
from entrypoints.local.environment import DATA_DIR, load_beside_dev
from entrypoints.local.program import console_for_stdout
from entrypoints.settings import OutboxSettings

if TYPE_CHECKING:
    from adapters.postgres.outbox_admin import PostgresOutboxAdmin

EX_USAGE = 2
EX_NOT_DONE = 1

BETWEEN_READINGS_S = 1.0

T = TypeVar("T")
Ids = Annotated[int, Parameter(validator=Number(gte=1, lt=2**63))]

app = App(name="outbox", help="See how the outbox stands; retry or discard dead letters.")


@app.command
def status(
    *,
    watch: bool = False,
    every: Annotated[float, Parameter(validator=Number(gte=0.2))] = 2.0,
    json: bool = False,  # the option's name
    data_dir: Path = DATA_DIR,
) -> None:
    """Show what waits, for how long, how fast it leaves, who carries it, and what is in the way.

    Needs DATABASE_URL, from the environment, `.env`, or the `auth-service dev` that runs here. A transaction that
    holds back vacuum is seen in other roles' sessions only by a member of pg_monitor.

    Parameters
    ----------
    watch
        Again and again, until Ctrl-C.
    every
        Seconds between two readings of --watch.
    json
        One object a reading, with all lanes, for other programs.
    data_dir
        Data folder of `auth-service dev`.
    """
    show = print_json if json else None
    _run(data_dir, lambda admin: _status(admin, readings=None if watch else 1, every=every, show=show))


@app.command
def dead(
    *,
    discarded: bool = False,
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 100,
    json: bool = False,  # the option's name
    data_dir: Path = DATA_DIR,
) -> None:
    """List the dead letters: events that Kafka refused for good. Never shows what is in them.

    Parameters
    ----------
    discarded
        Also those that were discarded, and why.
    limit
        At most so many, those that died last first.
    json
        One object a line, for other programs.
    data_dir
        Data folder of `auth-service dev`.
    """
    letters = _run(data_dir, lambda admin: admin.dead(limit=limit, discarded=discarded))
    if json:
        for letter in letters:
            print(as_json(letter))
    elif letters:
        console_for_stdout().print(letters_table(letters))
    else:
        print("There are no dead letters.")


@app.command
def retry(*ids: Ids, data_dir: Path = DATA_DIR) -> None:
    """Send dead letters once more, each under the event id it had: first remove the cause, such as a topic's limit.

    Exit status 1 when any of them could not be retried; the others were.

    Parameters
    ----------
    ids
        As `outbox dead` shows them.
    data_dir
        Data folder of `auth-service dev`.
    """
    _require(ids)
    _report(_run(data_dir, lambda admin: admin.retry(ids)))


@app.command
def discard(*ids: Ids, reason: str | None = None, data_dir: Path = DATA_DIR) -> None:
    """Give dead letters up: their data is erased, that they were and why they went is kept.

    A user's next event carries the full state, so consumers lose a step, not the user. Exit status 1 when any of them
    could not be discarded; the others were.

    Parameters
    ----------
    ids
        As `outbox dead` shows them.
    reason
        Why, for whoever asks later. Asked for when left out.
    data_dir
        Data folder of `auth-service dev`.
    """
    _require(ids)
    reason = (reason if reason is not None else _ask(ids)).strip()
    if not reason:
        _fail("A reason is needed (--reason); nothing was discarded.", EX_USAGE)
    _report(_run(data_dir, lambda admin: admin.discard(ids, reason)))


def _require(ids: Sequence[int]) -> None:
    if not ids:
        _fail("Name at least one ID; `auth-service outbox dead` shows them.", EX_USAGE)


def _ask(ids: Sequence[int]) -> str:
    if not sys.stdin.isatty():
        return ""
    return input(f"Why are {len(ids)} dead letters discarded? (Their data is erased; empty to leave it) ")


def _report(repairs: Mapping[int, Repair]) -> None:
    for number, repair in repairs.items():
        print(f"{number}: {repair}", file=sys.stdout if repair.done else sys.stderr)
    if not all(repair.done for repair in repairs.values()):
        sys.exit(EX_NOT_DONE)


def _run(data_dir: Path, ask: "Callable[[PostgresOutboxAdmin], Coroutine[Any, Any, T]]") -> T:
    container = container_for(load_beside_dev(OutboxSettings, data_dir))

    async def run() -> T:
        try:
            return await ask(container.outbox_admin())
        finally:
            await container.engine().dispose()

    try:
        return asyncio.run(run())
    except StoreUnavailableError as error:
        _fail(f"{error}. Is DATABASE_URL right, and has `auth-service migrate` run?", EX_UNAVAILABLE)
    except KeyboardInterrupt:
        sys.exit(0)  # how --watch ends


def _fail(message: str, status: int) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(status)


async def _status(
    admin: "PostgresOutboxAdmin",
    *,
    readings: int | None,
    every: float,
    show: Callable[[OutboxStatus, float], None] | None,
) -> None:
    before = await admin.status()
    pause = BETWEEN_READINGS_S
    if show is None and readings is None:
        with Live(console=console_for_stdout(), auto_refresh=False) as live:
            for _ in itertools.count():
                await asyncio.sleep(pause)
                after = await admin.status()
                live.update(picture(after, publish_rate(before, after)), refresh=True)
                before, pause = after, every
    show = show or (lambda after, rate: console_for_stdout().print(picture(after, rate)))
    for _ in itertools.count() if readings is None else range(readings):
        await asyncio.sleep(pause)
        after = await admin.status()
        show(after, publish_rate(before, after))
        before, pause = after, every
