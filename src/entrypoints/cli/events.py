"""`auth-service events`: show the events that other services receive."""

import asyncio
import base64
import json as json_
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Annotated, Any

from cyclopts import App
from rich.text import Text

from application.errors import BrokerUnavailableError
from application.relay.messages import kind_of
from application.relay.ports import Record
from entrypoints.cli.event_kind import kind_text
from entrypoints.cli.exit_codes import EX_UNAVAILABLE
from entrypoints.cli.options import between
from entrypoints.cli.output import separated
from entrypoints.cli.startup import container_for
from entrypoints.cli.terminal import console_for_stdout, fail, on_terminal, printable
from entrypoints.cli.until_signal import run_until_signal
from entrypoints.composition.topics import TopicsContainer
from entrypoints.config.settings import EventsSettings

CONNECT_S = 20.0
COLUMNS = ("time", "event", "user", "version", "changed")

app = App(name="events", help="Show the events in Kafka.")


@app.command
def tail(  # options of a command
    *,
    sessions: bool = False,
    from_beginning: bool = False,
    user: str | None = None,
    limit: Annotated[int | None, between(1, 10**9)] = None,
    json: bool = False,  # the option's name
) -> None:
    """Show the events as they arrive, until Ctrl-C. It joins no consumer group, so no consumer misses an event.

    Needs KAFKA_BOOTSTRAP_SERVERS, from the environment, `.env`, or the `auth-service dev` that runs here.

    Args:
        sessions: Events of ended sessions, from KAFKA_SESSION_EVENTS_TOPIC, instead of user events.
        from_beginning: Start with the oldest event that the topic holds, not with the next one.
        user: Only the events of this user (`user_…`).
        limit: Stop after so many.
        json: One CloudEvent in JSON a line, with all its data, for other programs.
    """
    container = container_for(TopicsContainer, EventsSettings)
    open_tail = container.tail_session_topic if sessions else container.tail_topic

    async def show_events() -> int:
        async with AsyncExitStack() as stack:
            opening = stack.enter_async_context(open_tail(from_beginning=from_beginning))
            topic_tail = await asyncio.wait_for(opening, CONNECT_S)
            show = _printer(as_json=json)
            shown = 0
            while limit is None or shown < limit:
                record = await topic_tail.next()
                if user is None or _concerns(record, user):
                    shown += 1
                    show(record)
        return 0

    try:
        run_until_signal(show_events(), on_signal=lambda: None)
    except (BrokerUnavailableError, TimeoutError) as error:
        brokers = ", ".join(container.kafka().addresses)
        fail(
            f"{str(error) or f'Kafka at {brokers} did not answer within {CONNECT_S:g} s.'}\n"
            "Check KAFKA_BOOTSTRAP_SERVERS: `auth-service config events` says where it is set.",
            EX_UNAVAILABLE,
        )


def _concerns(record: Record, user: str) -> bool:
    """Whether the event is of this user: an event of a session has the user in its data."""
    if record.key == user.encode():
        return True
    data = cloud_event(record).get("data")
    session = data.get("session") if isinstance(data, dict) else None
    return isinstance(session, dict) and session.get("user_id") == user


def cloud_event(record: Record) -> dict[str, Any]:
    """Return the event in CloudEvents' JSON format (formats/json-format.md); of what is none, what there is of it."""
    event: dict[str, Any] = {
        name.removeprefix("ce_"): value for name, value in record.headers.items() if name.startswith("ce_")
    }
    event |= {name: record.headers[name] for name in ("traceparent",) if name in record.headers}
    if content_type := record.headers.get("content-type"):
        event["datacontenttype"] = content_type
    try:
        event["data"] = _decoder.decode((record.value or b"null").decode())
    except (ValueError, RecursionError):  # also what nests deeper than Python follows
        event.pop("data", None)
        event["data_base64"] = base64.b64encode(record.value or b"").decode()
    return event


def _no_json(constant: str) -> None:
    raise ValueError(constant)


_decoder = json_.JSONDecoder(parse_constant=_no_json)  # `NaN` and its like are Python's alone


def _printer(*, as_json: bool) -> Callable[[Record], None]:
    """Return what prints an event, as JSON or below the names of the columns, which are printed here."""
    if as_json:
        return lambda record: print(json_.dumps(cloud_event(record)), flush=True)
    console = console_for_stdout()
    if on_terminal():
        console.print(Text(f"{COLUMNS[0]:<24}  {COLUMNS[1]:<8}  {'  '.join(COLUMNS[2:])}", "dim"))
        return lambda record: console.print(line(record))
    print(separated(COLUMNS), flush=True)
    return lambda record: print(separated(cells(record)), flush=True)


def cells(record: Record) -> Sequence[str]:
    """Return what people want to see of an event: when, what, who, which version, and what changed."""
    event = cloud_event(record)
    if not record.readable or "type" not in event:
        why = "no CloudEvent" if record.readable else "cannot be taken apart"
        return "", "unusable", "", "", f"partition {record.partition} offset {record.offset}: {why}"
    data = event.get("data")
    changed = data.get("changed") if isinstance(data, dict) else None
    names = ", ".join(map(str, changed)) if isinstance(changed, list) else ""
    version = f"v{event.get('sequence', '').lstrip('0')}"
    return event.get("time", ""), kind_of(event["type"]), event.get("subject", ""), version, names


def line(record: Record) -> Text:
    """Return one line for a terminal."""
    time, kind, subject, version, changed = map(printable, cells(record))
    text = Text.assemble((f"{time:<24}", "dim"), "  ", kind_text(kind, 8), f"  {subject}")
    return text.append(f"  {version}", "cyan").append(f"  {changed}" if changed else "")
