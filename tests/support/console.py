"""The console in this process, beside a stand-in, for tests that fill its records or ask it over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import msgspec
from attrs import frozen

from adapters.kafka.cloudevents import encode
from application.users.representation import rfc3339
from devkit.console.records import Event, Records
from devkit.console.server import CommandLine, ConsoleServer
from devkit.fake_clerk.deliveries import DROPPED, DeliveryAttempt
from devkit.fake_clerk.samples import sample_event
from domain.snapshot import Snapshot
from domain.sync_user import sync_user
from support.clerk_stand_in import SECRET_KEY, RunningStandIn, running_stand_in

SERVICE = "http://127.0.0.1:3999"


@frozen
class RunningConsole:
    clerk: RunningStandIn
    records: Records

    @property
    def url(self) -> str:
        return self.clerk.url


@contextmanager
def running_console(**how: Any) -> Iterator[RunningConsole]:
    """Run it; webhooks go nowhere until the stand-in is told where. `how` is `running_stand_in`'s."""
    records = Records()
    commands = CommandLine(service=SERVICE, secret_key="$(cat var/dev/clerk-secret-key)")
    with running_stand_in(
        on_attempt=records.add_attempt,
        **how,
        answers=lambda stand_in: ConsoleServer(stand_in, SECRET_KEY, records, commands).answer,
    ) as clerk:
        yield RunningConsole(clerk, records)


T0_MS = 1_795_946_400_000
"""10:00:00 UTC, 29 November 2026."""


def tell_story(console: RunningConsole) -> str:
    """Fill the console with deliveries, rows and events that are always the same; return the id of a user."""
    instance, records = console.clerk.instance, console.records
    for number, name in enumerate(("Grace", "Katherine", "Mary", "Dorothy", "Annie", "Radia")):
        someone = f"user_3MXeK1YBjM8aywmgGgxD8W2x{number:03d}"
        with instance.quietly():
            instance.create(someone, first_name=name, email_address=[f"{name.lower()}@example.org"])
        _deliver(console, "user.created", instance.get(someone), number * 900, "created")
    ada = "user_3MXeK1YBjM8aywmgGgxD8W2xu7I"
    with instance.quietly():
        instance.create(ada, first_name="Ada", last_name="Lovelace", email_address=["ada@example.org"])
    base = {**instance.get(ada), "banned": False}
    _deliver(console, "user.created", base, 6_200, "created")
    late = {**base, "first_name": "Late"}
    _deliver(console, "user.updated", late, 7_200, DROPPED, svix=902)
    _deliver(console, "user.updated", base | {"first_name": "Augusta"}, 8_100, "updated")
    _deliver(console, "user.updated", late, 7_200, "stale", svix=902)
    plan = base | {"first_name": "Augusta", "public_metadata": {"plan": "pro", "seats": 5}}
    _deliver(console, "user.updated", plan, 9_400, "updated")
    _deliver(console, "user.updated", plan, 10_000, "unchanged")
    _deliver(console, "user.updated", plan | {"banned": True}, 10_500, 400, svix=903)
    _deliver(console, "user.updated", plan | {"banned": True}, 11_000, "ConnectError", svix=904)
    _deliver(console, "user.updated", plan | {"banned": True}, 11_000, "updated", svix=904, state="waiting")
    with instance.quietly():
        instance.update(ada, first_name="Augusta")
        instance.merge_metadata(ada, public_metadata={"plan": "pro", "seats": 5})
        instance.set_banned(ada, banned=True)
    records.set_positions({"billing": {2: 43}, "search-indexer": {2: 41}})
    return ada


def _deliver(
    console: RunningConsole,
    event: str,
    data: dict[str, Any],
    after_ms: int,
    answer: str | int,
    *,
    svix: int | None = None,
    state: Literal["published", "waiting"] = "published",
) -> None:
    records = console.records
    number = len(records.deliveries) + 1
    at_ms = T0_MS + after_ms
    data = {**data, "updated_at": at_ms}
    outcome: int | str = answer if isinstance(answer, int) or answer in (DROPPED, "ConnectError") else 200
    said = {"outcome": answer} if outcome == 200 else {"detail": "No matching signature found"}
    attempt = DeliveryAttempt(
        svix_id=f"msg_3a2b01605f37c31a3843d2f{svix or number:03d}",
        event=event,
        user_id=data["id"],
        url="http://127.0.0.1:3002/webhooks/clerk",
        number=0 if outcome == DROPPED else 1,
        outcome=outcome,
        body=msgspec.json.encode(sample_event(event, data, timestamp_ms=at_ms)),
        answer=b"" if outcome == DROPPED else msgspec.json.encode(said),
        at_ms=T0_MS + 11_100 + number * 40,
        took_ms=4.2,
        trace_id="" if outcome == DROPPED else f"4bf92f3577b34da6a3ce929d0e0e{number:04x}",
        forged=outcome == 400,
        retry_in_s=5.0 if outcome == "ConnectError" else None,
    )
    records.add_attempt(attempt)
    news = records.deliveries[number].news
    if answer not in ("created", "updated") or not isinstance(news, Snapshot):
        return
    decision = sync_user(records.rows.get(news.id), news)
    message = encode(decision.events[0])
    made = Event(
        id=str(message.event_id),
        type=message.type,
        user_id=news.id,
        version=decision.user.version,
        time=rfc3339(at_ms),
        data=msgspec.json.decode(message.payload),
        trace_id=attempt.trace_id,
        state=state,
        partition=2 if state == "published" else None,
        offset=39 + decision.user.version if state == "published" else None,
    )
    if state == "published":
        records.add_event(made)
    records.add_row(news.id, decision.user, [] if state == "published" else [made])
