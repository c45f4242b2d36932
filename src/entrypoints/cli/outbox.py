"""`auth-service outbox`: how the outbox stands, and what to do with its dead letters."""

import asyncio
import itertools
import json
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

from attrs import asdict
from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from application.errors import StoreUnavailableError
from application.outbox_status import DeadLetter, OutboxStatus, Repair, publish_rate
from application.profile import rfc3339
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
LANES_SHOWN = 16

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
    show = _print_json if json else None
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
            print(_as_json(letter))
    elif letters:
        console_for_stdout().print(_letters(letters))
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
                live.update(_picture(after, publish_rate(before, after)), refresh=True)
                before, pause = after, every
    show = show or (lambda after, rate: console_for_stdout().print(_picture(after, rate)))
    for _ in itertools.count() if readings is None else range(readings):
        await asyncio.sleep(pause)
        after = await admin.status()
        show(after, publish_rate(before, after))
        before, pause = after, every


def _print_json(status: OutboxStatus, rate: float) -> None:
    document = {
        "waiting": status.waiting,
        "oldest_seconds": round(status.oldest_s, 3),
        "published_per_second": round(rate, 1),
        "dead": status.dead,
        "relays": [
            {"name": name, "alive": name in status.alive, "seen_seconds_ago": round(seen_s, 3)}
            for name, seen_s in status.relays.items()
        ],
        "lanes": [
            {
                "lane": lane.lane,
                "owner": lane.owner,
                "waiting": lane.waiting,
                "oldest_seconds": None if lane.oldest_s is None else round(lane.oldest_s, 3),
            }
            for lane in status.lanes
        ],
        "vacuum_blocker": asdict(status.vacuum_blocker) if status.vacuum_blocker else None,
    }
    print(json.dumps(document), flush=True)


def _picture(status: OutboxStatus, rate: float) -> RenderableType:
    summary = Table.grid(padding=(0, 3))
    summary.add_row("waiting", "oldest", "published", "dead letters", "relays alive", style="dim")
    summary.add_row(
        f"{status.waiting:,}",
        _seconds(status.oldest_s),
        f"{rate:,.0f}/s",
        Text(f"{status.dead:,}", "red" if status.dead else ""),
        Text(str(len(status.alive)), "" if status.alive else "red"),
    )
    parts: list[RenderableType] = [summary, _owners(status)]
    deepest = sorted((lane for lane in status.lanes if lane.waiting), key=lambda lane: -lane.waiting)
    if deepest:
        lanes = Table("lane", "waiting", "oldest", "owner", title=_lanes_title(len(deepest)), title_justify="left")
        for lane in deepest[:LANES_SHOWN]:
            lanes.add_row(str(lane.lane), f"{lane.waiting:,}", _seconds(lane.oldest_s), Text(lane.owner or "nobody"))
        parts.append(lanes)
    if blocker := status.vacuum_blocker:
        age = "" if blocker.age_s is None else f", for {_seconds(blocker.age_s)}"
        parts.append(Text(f"Vacuum is held back by {blocker.kind} {blocker.name}{age}.", "yellow"))
    return Group(*parts)


def _owners(status: OutboxStatus) -> Table:
    held = Counter(lane.owner for lane in status.lanes)
    waiting: Counter[str | None] = Counter()
    for lane in status.lanes:
        waiting[lane.owner] += lane.waiting
    table = Table("relay", "lanes", "waiting", "last seen")
    for name, seen_s in status.relays.items():
        table.add_row(
            Text(name, "" if name in status.alive else "dim"), str(held[name]), f"{waiting[name]:,}", _seconds(seen_s)
        )
    if held[None]:
        table.add_row(Text("nobody", "red"), str(held[None]), f"{waiting[None]:,}", "")
    return table


def _lanes_title(lanes: int) -> str:
    return f"the {LANES_SHOWN} deepest of {lanes} lanes that wait" if lanes > LANES_SHOWN else "lanes that wait"


def _letters(letters: Sequence[DeadLetter]) -> Table:
    table = Table("id", "user", "version", "type", "error", "attempts", "died", "")
    for letter in letters:
        note = "payload erased" if letter.erased else ""
        if letter.discarded_at:
            note = f"discarded: {letter.discard_reason}"
        table.add_row(
            str(letter.id),
            Text(letter.key),
            str(letter.version),
            letter.type,
            Text(letter.error),
            str(letter.attempts),
            f"{letter.died_at:%Y-%m-%d %H:%M:%S}Z",
            Text(note),
        )
    return table


def _as_json(letter: DeadLetter) -> str:
    def readable(_: Any, __: Any, value: Any) -> Any:
        if hasattr(value, "timestamp"):
            return rfc3339(int(value.timestamp() * 1000))
        return str(value) if hasattr(value, "hex") and not isinstance(value, float) else value

    return json.dumps(asdict(letter, value_serializer=readable))


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
